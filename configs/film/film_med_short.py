"""`film_mif_short.py` by its other name, whose results go to `work_dirs/film_med_short`.

Every setting, the commands, costs and expected numbers are in that file.
"""

_base_ = ['film_mif_short.py']
