"""Multi-exposure fusion: every baseline with weights for it, on MEFB.

Command:    vlfusion benchmark mef --get
Needs:      the scenes under data/mef/MEFB, and the methods' weights.
            --get downloads what is missing of both, and says how much that is. A method without weights is a row that
            says so. Also: pip install 'vlfusion[benchmark]'.
Hardware:   two CPU cores; not timed as a whole (it ran in parts). GIFNet, MUFusion, AUIF and LRRNet take longest.
Expected:   docs/results/mef.md.
"""

_base_ = ['vlfusion::_base_/benchmark/classical.py']

title = 'Multi-exposure fusion on MEFB'
datasets = dict(
    MEFB=dict(config='_base_/datasets/mefb'))
methods = dict(
    U2Fusion='u2fusion-mef',
    SDNet='sdnet-mef',
    FFMEF='ffmef-mef',
    MUFusion='mufusion-mef',
    GIFNet='gifnet-mef',
    FILM_released='film-mef-authors',  # film-mef is not here: it was trained on sixteen of these scenes
    FILM=dict(printed=dict(MEFB='film/MEFB/FILM')))
protocol = 'film'
