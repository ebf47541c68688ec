"""Medical fusion: every baseline with weights for it, on the 72 test pairs of Harvard.

Command:    vlfusion benchmark benchmark/mif
Needs:      Harvard's pairs under data/mif/Harvard;
            the released weights under work_dirs/released, each put there by `vlfusion prepare-data weights NAME
            --which WHICH --out work_dirs/released/FILE.pth`, which says what to fetch. A method without
            weights is a row that says so. Also: pip install 'vlfusion[benchmark]'.
Hardware:   two CPU cores; fusing took 25 minutes beside other work, scoring 2 minutes of one core.
Expected:   docs/results/mif.md.
"""

_base_ = ['vlfusion::_base_/benchmark/classical.py']

title = 'Medical image fusion on Harvard'
datasets = dict(
    Harvard=dict(config='_base_/datasets/harvard', by_subset=True))
methods = dict(
    IFCNN=dict(checkpoint='work_dirs/released/ifcnn_mif.pth'),
    SDNet=dict(checkpoint='work_dirs/released/sdnet_mif.pth'),
    MATR=dict(checkpoint='work_dirs/released/matr_mif.pth'),
    GIFNet=dict(checkpoint='work_dirs/released/gifnet_mif.pth'),
    MUFusion=dict(checkpoint='work_dirs/released/mufusion_mif.pth'),
    FILM=dict(printed=dict(Harvard='film/Harvard/FILM')))
protocol = 'film'
