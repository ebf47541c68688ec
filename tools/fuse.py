"""`vlfusion fuse` for a checkout: python tools/fuse.py --help"""

from vlfusion.cli import script

script(__file__)
