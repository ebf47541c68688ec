"""Infrared-visible fusion: every baseline with weights for it, on TNO and RoadScene.

Command:    vlfusion benchmark ivf --get
Needs:      the pairs under data/ivf/TNO and data/ivf/RoadScene, and the methods' weights.
            --get downloads what is missing of both, and says how much that is. A method without weights is a row that
            says so. Also: pip install 'vlfusion[benchmark]'.
Hardware:   two CPU cores; not timed as a whole (it ran in parts). GIFNet, MUFusion, AUIF and LRRNet take longest.
Expected:   docs/results/ivf.md.
"""

_base_ = ['vlfusion::_base_/benchmark/classical.py']

title = 'Infrared-visible fusion on TNO and RoadScene'
datasets = dict(
    TNO=dict(config='_base_/datasets/tno'),
    RoadScene=dict(config='_base_/datasets/roadscene'))
methods = dict(
    DenseFuse='densefuse-ivf',
    IFCNN='ifcnn-ivf',
    DIDFuse='didfuse-ivf',
    U2Fusion='u2fusion-ivf',
    SDNet='sdnet-ivf',
    AUIF='auif-ivf',
    SeAFusion='seafusion-ivf',
    YDTR='ydtr-ivf',
    ReCoNet='reconet-ivf',
    DATFuse='datfuse-ivf',
    FFMEF='ffmef-ivf',
    LRRNet='lrrnet-ivf',
    MUFusion_TNO=dict(checkpoint='mufusion-ivf', datasets=['TNO']),
    MUFusion_RoadScene=dict(checkpoint='mufusion-ivf-roadscene', datasets=['RoadScene']),
    SAGE='sage-ivf',
    GIFNet='gifnet-ivf',
    CDDFuse_released='cddfuse-ivf',
    FILM_released='film-ivf-authors',
    FILM_ours='film-ivf',
    FILM=dict(printed=dict(RoadScene='film/RoadScene/FILM')),
    CDDFuse=dict(printed=dict(TNO='cddfuse/TNO/CDDFuse', RoadScene='cddfuse/RoadScene/CDDFuse')))
protocol = 'film'
