"""`vlfusion models` for a checkout: python tools/models.py --help"""

from vlfusion.cli import script

script(__file__)
