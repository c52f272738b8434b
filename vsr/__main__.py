"""`python -m vsr`: the same as the command `vsr`."""

import sys

from vsr.cli import main

sys.exit(main())
