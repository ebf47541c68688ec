"""`vlfusion text` for a checkout: python tools/text.py --help"""

from vlfusion.cli import script

script(__file__)
