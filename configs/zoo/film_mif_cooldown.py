"""The last 200 steps of the weights `film-mif`, from a checkpoint of film_mif.py.

Command:    tools/train_zoo.sh DATA --cooldown mif
Cost:       about ten minutes of one CPU core
"""

_base_ = ['film_mif.py', '../_base_/schedules/zoo_cooldown.py']
