"""Run the command line: `python -m vlfusion VERB ...` is the same as `vlfusion VERB ...`."""

import sys

from vlfusion.cli import main

sys.exit(main())
