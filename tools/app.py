"""`vlfusion app` for a checkout: python tools/app.py --help"""

from vlfusion.cli import script

script(__file__)
