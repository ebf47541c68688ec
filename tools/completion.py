"""`vlfusion completion` for a checkout: python tools/completion.py --help"""

from vlfusion.cli import script

script(__file__)
