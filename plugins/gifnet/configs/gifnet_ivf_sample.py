"""GIFNet on the simulated infrared-visible sample, for trying things out; focus pairs are made by blurring.

Commands:   vlfusion prepare-data sample
            vlfusion train gifnet/gifnet_ivf_sample
Needs:      the published weights of DenseNet-121, which torchvision fetches. Without a connection, add
            `--cfg-options model.losses.0.pretrained=False`: random features then weight the sources.
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py']

protocol = 'plain'
model = dict(type='vlfusion_gifnet.GIFNetModel', backbone=dict(type='vlfusion_gifnet.GIFNet'),
             losses=[dict(type='vlfusion_gifnet.InformationLoss', weight=1.0)])
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(64, 64)), dict(type='RandomFlip', prob=0.5)]),
    dict(type='vlfusion_gifnet.BlurFocusPair'),
    dict(type='vlfusion_gifnet.PackFocusPair')]))

default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
