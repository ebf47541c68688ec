"""Multi-exposure fusion: every baseline with weights for it, on MEFB.

Command:    vlfusion benchmark benchmark/mef
Needs:      the scenes under data/mef/MEFB;
            the released weights under work_dirs/released, each put there by `vlfusion prepare-data weights NAME
            --which WHICH --out work_dirs/released/FILE.pth`, which says what to fetch. A method without
            weights is a row that says so. Also: pip install 'vlfusion[benchmark]'.
Hardware:   two CPU cores; not timed as a whole (it ran in parts). GIFNet, MUFusion, AUIF and LRRNet take longest.
Expected:   docs/results/mef.md.
"""

_base_ = ['vlfusion::_base_/benchmark/classical.py']

title = 'Multi-exposure fusion on MEFB'
datasets = dict(
    MEFB=dict(config='_base_/datasets/mefb'))
methods = dict(
    U2Fusion=dict(checkpoint='work_dirs/released/u2fusion_mef.pth'),
    SDNet=dict(checkpoint='work_dirs/released/sdnet_mef.pth'),
    FFMEF=dict(checkpoint='work_dirs/released/ffmef_mef.pth'),
    MUFusion=dict(checkpoint='work_dirs/released/mufusion_mef.pth'),
    GIFNet=dict(checkpoint='work_dirs/released/gifnet_mef.pth'),
    FILM=dict(printed=dict(MEFB='film/MEFB/FILM')))
protocol = 'film'
