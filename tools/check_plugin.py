"""`vlfusion check-plugin` for a checkout: python tools/check_plugin.py --help"""

from vlfusion.cli import script

script(__file__)
