"""`vlfusion new-plugin` for a checkout: python tools/new_plugin.py --help"""

from vlfusion.cli import script

script(__file__)
