"""The last 200 steps of the weights `film-mff`, from a checkpoint of film_mff.py.

Command:    tools/train_zoo.sh DATA --cooldown mff
Cost:       about ten minutes of one CPU core
"""

_base_ = ['film_mff.py', '../_base_/schedules/zoo_cooldown.py']
