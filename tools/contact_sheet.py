"""`vlfusion contact-sheet` for a checkout: python tools/contact_sheet.py --help"""

from vlfusion.cli import script

script(__file__)
