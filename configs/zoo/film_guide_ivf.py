"""FILM (Zhao et al., ICML 2024) that obeys instructions on infrared-visible images: `film-guide-ivf`.

Data:       171 pairs of RoadScene; its 25 pairs of CDDFuse's test set are for testing.
Commands:   those of the shipped weights are in plugins/film_weights/README.md: the guidance of `film-guide-mif` on
            `film-ivf`, and 300 steps more. `make zoo ZOO_DATA=FOLDER ZOO_TASKS=guide_ivf` trains one from nothing.
Cost:       4,000 steps from nothing, as `film_guide_mif`
Start:      the weights `film-ivf`, which stay as they are.
Loss, text: as `film-guide-mif`.
"""

_base_ = ['film_guide_mif.py']

task = 'ivf'

load_from = 'film-ivf'

train_dataloader = dict(dataset=dict(
    name='RoadScene', subsets=None, source_a='ivf/RoadScene_train/ir', source_b='ivf/RoadScene_train/vi'))
test_dataloader = dict(dataset=dict(
    name='RoadScene', subsets=None, source_a='ivf/RoadScene/ir', source_b='ivf/RoadScene/vi'))
