import sys

from .machine import main

sys.exit(main())
