"""DenseFuse (Li and Wu, IEEE TIP 2019): trained as an autoencoder on 40,000 grey photographs of MS-COCO 2014.

Reproduces: the training script of the authors' PyTorch version: network, losses and their weights, images resized to
            256x256, batches of 4, Adam 1e-4 for 4 epochs.
Command:    vlfusion train densefuse/densefuse_coco
Needs:      MS-COCO's train2014 in data/coco/train2014; infrared-visible pairs to test on in data/ivf/TNO/{ir,vi}.
Hardware:   not measured.
Expected:   not measured: this schedule was not run. Results of the released weights are in the plugin's README.
Not known:  the seed of the released weights, and whether they come from this schedule: the README of the TensorFlow
            version names all 80,000 photographs, in batches of 2. The script resizes by scipy's nearest neighbour, here
            by OpenCV's, which may choose another pixel.
"""

_base_ = ['vlfusion::_base_/runtime.py']

task = 'ivf'
protocol = 'truncate'
model = dict(type='vlfusion_densefuse.DenseFuseModel', backbone=dict(type='vlfusion_densefuse.DenseFuse'), images='a')

train_dataloader = dict(
    batch_size=4, num_workers=2, persistent_workers=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='vlfusion_densefuse.ImageDataset', data_root='data/coco', images='train2014', first=40_000,
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[dict(type='Resize', scale=(256, 256), interpolation='nearest')]),
            dict(type='PackPair'),
        ]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', data_root='data/ivf/TNO', source_a='ir', source_b='vi',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader

train_cfg = dict(type='ResumableTrainLoop', max_iters=4 * 10_000, val_interval=2_000)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
