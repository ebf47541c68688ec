"""`vlfusion downstream` for a checkout: python tools/leaderboard.py --help"""

from vlfusion.cli import script

script(__file__)
