"""`vlfusion train` for a checkout: python tools/train.py --help"""

from vlfusion.cli import script

script(__file__)
