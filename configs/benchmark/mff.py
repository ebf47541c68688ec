"""Multi-focus fusion: every baseline with weights for it, on Lytro and Real-MFF.

Command:    vlfusion benchmark benchmark/mff
Needs:      the pairs under data/mff/Lytro and data/mff/RealMFF;
            the released weights under work_dirs/released, each put there by `vlfusion prepare-data weights NAME
            --which WHICH --out work_dirs/released/FILE.pth`, which says what to fetch. A method without
            weights is a row that says so. Also: pip install 'vlfusion[benchmark]'.
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
    IFCNN=dict(checkpoint='work_dirs/released/ifcnn_mff.pth'),
    SDNet=dict(checkpoint='work_dirs/released/sdnet_mff.pth'),
    FFMEF=dict(checkpoint='work_dirs/released/ffmef_mff.pth'),
    MUFusion=dict(checkpoint='work_dirs/released/mufusion_mff.pth'),
    GIFNet=dict(checkpoint='work_dirs/released/gifnet_mff.pth'),
    FILM=dict(printed=dict(Lytro='film/Lytro/FILM', RealMFF='film/RealMFF/FILM')))
protocol = 'film'
