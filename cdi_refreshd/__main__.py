from cdi_refreshd.cli import main

main()
