"""Another name for `film_mif_zeroshot.py`, with results in `work_dirs/film_med_zeroshot`.

That file holds all settings, commands, costs and expected numbers.
"""

_base_ = ['film_mif_zeroshot.py']
