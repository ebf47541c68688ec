"""`vlfusion convert-weights` for a checkout: python tools/convert_weights.py --help"""

from vlfusion.cli import script

script(__file__)
