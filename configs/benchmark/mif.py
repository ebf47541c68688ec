"""Medical fusion: every baseline with weights for it, on the 72 test pairs of Harvard.

Command:    vlfusion benchmark mif --get
Needs:      Harvard's pairs under data/mif/Harvard, and the methods' weights.
            --get downloads what is missing of both, and says how much that is. A method without weights is a row that
            says so. Also: pip install 'vlfusion[benchmark]'.
Hardware:   two CPU cores; fusing took 25 minutes beside other work, scoring 2 minutes of one core.
Expected:   docs/results/mif.md.
"""

_base_ = ['vlfusion::_base_/benchmark/classical.py']

title = 'Medical image fusion on Harvard'
datasets = dict(
    Harvard=dict(config='_base_/datasets/harvard', by_subset=True))
methods = dict(
    IFCNN='ifcnn-mif',
    U2Fusion='u2fusion-mif',
    SDNet='sdnet-mif',
    MATR='matr-mif',
    GIFNet='gifnet-mif',
    MUFusion='mufusion-mif',
    CDDFuse='cddfuse-mif',
    FILM_released='film-mif-authors',
    FILM_ours='film-mif',
    FILM=dict(printed=dict(Harvard='film/Harvard/FILM')))
protocol = 'film'
