"""The last 200 steps of the weights `film-ivf`, from a checkpoint of film_ivf.py.

Command:    tools/train_zoo.sh DATA --cooldown ivf
Cost:       about ten minutes of one CPU core
"""

_base_ = ['film_ivf.py', '../_base_/schedules/zoo_cooldown.py']
