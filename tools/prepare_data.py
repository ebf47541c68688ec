"""`vlfusion prepare-data` for a checkout: python tools/prepare_data.py --help"""

from vlfusion.cli import script

script(__file__)
