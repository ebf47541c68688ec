"""`film_mif_sample.py` by its other name, whose results go to `work_dirs/film_med_sample`.

Every setting, the commands, costs and expected numbers are in that file.
"""

_base_ = ['film_mif_sample.py']
