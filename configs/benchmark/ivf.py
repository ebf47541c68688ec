"""Infrared-visible fusion: every baseline with weights for it, on TNO and RoadScene.

Command:    vlfusion benchmark benchmark/ivf
Needs:      the pairs under data/ivf/TNO and data/ivf/RoadScene;
            the released weights under work_dirs/released, each put there by `vlfusion prepare-data weights NAME
            --which WHICH --out work_dirs/released/FILE.pth`, which says what to fetch. A method without
            weights is a row that says so. Also: pip install 'vlfusion[benchmark]'.
Hardware:   two CPU cores; not timed as a whole (it ran in parts). GIFNet, MUFusion, AUIF and LRRNet take longest.
Expected:   docs/results/ivf.md.
"""

_base_ = ['vlfusion::_base_/benchmark/classical.py']

title = 'Infrared-visible fusion on TNO and RoadScene'
datasets = dict(
    TNO=dict(config='_base_/datasets/tno'),
    RoadScene=dict(config='_base_/datasets/roadscene'))
methods = dict(
    DenseFuse=dict(checkpoint='work_dirs/released/densefuse_gray.pth'),
    IFCNN=dict(checkpoint='work_dirs/released/ifcnn_ivf.pth'),
    DIDFuse=dict(checkpoint='work_dirs/released/didfuse_ijcai.pth'),
    SDNet=dict(checkpoint='work_dirs/released/sdnet_ivf.pth'),
    AUIF=dict(checkpoint='work_dirs/released/auif_tcsvt.pth'),
    SeAFusion=dict(checkpoint='work_dirs/released/seafusion_msrs.pth'),
    YDTR=dict(checkpoint='work_dirs/released/ydtr_ivf.pth'),
    ReCoNet=dict(checkpoint='work_dirs/released/reconet_eccv.pth'),
    DATFuse=dict(checkpoint='work_dirs/released/datfuse_ivf.pth'),
    FFMEF=dict(checkpoint='work_dirs/released/ffmef_ivf.pth'),
    LRRNet=dict(checkpoint='work_dirs/released/lrrnet_ivf.pth'),
    MUFusion_TNO=dict(checkpoint='work_dirs/released/mufusion_tno.pth', datasets=['TNO']),
    MUFusion_RoadScene=dict(checkpoint='work_dirs/released/mufusion_roadscene.pth', datasets=['RoadScene']),
    SAGE=dict(checkpoint='work_dirs/released/sage_ivf.pth'),
    GIFNet=dict(checkpoint='work_dirs/released/gifnet_ivf.pth'),
    FILM=dict(printed=dict(RoadScene='film/RoadScene/FILM')),
    CDDFuse=dict(printed=dict(TNO='cddfuse/TNO/CDDFuse', RoadScene='cddfuse/RoadScene/CDDFuse')))
protocol = 'film'
