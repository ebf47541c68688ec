"""`film_mif.py` by its other name, whose results go to `work_dirs/film_med`.

Every setting, the commands, costs and expected numbers are in that file.
"""

_base_ = ['film_mif.py']
