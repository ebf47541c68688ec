"""`vlfusion export` for a checkout: python tools/export.py --help"""

from vlfusion.cli import script

script(__file__)
