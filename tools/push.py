"""`vlfusion push` for a checkout: python tools/push.py --help"""

from vlfusion.cli import script

script(__file__)
