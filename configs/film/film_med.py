"""Another name for `film_mif.py`, with results in `work_dirs/film_med`.

That file holds all settings, commands, costs and expected numbers.
"""

_base_ = ['film_mif.py']
