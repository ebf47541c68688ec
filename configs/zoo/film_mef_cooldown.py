"""The last 200 steps of the weights `film-mef`, from a checkpoint of film_mef.py.

Command:    tools/train_zoo.sh DATA --cooldown mef
Cost:       about ten minutes of one CPU core
"""

_base_ = ['film_mef.py', '../_base_/schedules/zoo_cooldown.py']
