import sys

from cdi_refreshd.cli import main

sys.exit(main())
