"""`python -m mrcnn_plus`: the command line."""

import sys

from mrcnn_plus.cli import main

sys.exit(main())
