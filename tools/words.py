"""`vlfusion words` for a checkout: python tools/words.py --help"""

from vlfusion.cli import script

script(__file__)
