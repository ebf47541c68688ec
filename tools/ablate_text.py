"""`vlfusion ablate-text` for a checkout: python tools/ablate_text.py --help"""

from vlfusion.cli import script

script(__file__)
