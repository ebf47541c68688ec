"""Multi-focus fusion: every baseline with weights for it, on Lytro and Real-MFF.

Command:    vlfusion benchmark mff --get
Needs:      the pairs under data/mff/Lytro and data/mff/RealMFF, and the methods' weights.
            --get downloads what is missing of both, and says how much that is. A method without weights is a row that
            says so. Also: pip install 'vlfusion[benchmark]'.
Hardware:   two CPU cores; not timed as a whole (it ran in parts). GIFNet, MUFusion, AUIF and LRRNet take longest.
Expected:   docs/results/mff.md.
"""

_base_ = ['vlfusion::_base_/benchmark/classical.py']

title = 'Multi-focus fusion on Lytro and Real-MFF'
datasets = dict(
    Lytro=dict(config='_base_/datasets/lytro',
               texts={'near': 'text/near/{name}.txt', 'far': 'text/far/{name}.txt'}),
    RealMFF=dict(config='_base_/datasets/realmff', texts={'near': 'text/near/{name}.txt'}))
methods = dict(
    IFCNN='ifcnn-mff',
    U2Fusion='u2fusion-mff',
    SDNet='sdnet-mff',
    FFMEF='ffmef-mff',
    MUFusion='mufusion-mff',
    GIFNet='gifnet-mff',
    FILM_released='film-mff-authors',
    FILM_ours='film-mff',
    FILM=dict(printed=dict(Lytro='film/Lytro/FILM', RealMFF='film/RealMFF/FILM')))
protocol = 'film'
