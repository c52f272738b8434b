"""The door for a bare checkout: `python cli.py upscale ...` is `vsr upscale ...`."""

import sys

from vsr.cli import main

if __name__ == "__main__":
    sys.exit(main())
