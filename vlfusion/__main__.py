"""`python -m vlfusion VERB ...` is `vlfusion VERB ...`."""

import sys

from vlfusion.cli import main

sys.exit(main())
