"""LUT-Fuse (Yi et al., ICCV 2025), infrared-visible: table and context fine-tuned to the pictures of a teacher.

Reproduces: terms, weights, crops, batches, rate and the 496 epochs of the released script, from the authors' first
            table, on luminance. As in that script gradients are never cleared; `model.keep_gradients=False` clears.
Commands:   cd data/ivf/RoadScene_train && vlfusion fuse seafusion-ivf ir/ vi/ -o teacher/
            vlfusion train lutfuse/lutfuse_ivf
Needs:      RoadScene, 171 pairs to train on: `vlfusion data get RoadScene`; the pictures of a teacher, any model, in
            RoadScene_train/teacher, with the file names of the sources; the table `lutfuse-ivf-original`, which is
            fetched.
Hardware:   not measured.
Expected:   not known: this training has not been run.
Not known:  the authors' teacher and pairs; how the first table was made.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/roadscene_train.py']

protocol = 'truncate'
load_from = 'lutfuse-ivf-original'
model = dict(
    type='vlfusion_lutfuse.LUTFuseModel',
    backbone=dict(type='vlfusion_lutfuse.LUTFuse'),
    losses=[dict(type='TruthLoss', weight=1.0, norm='l1'), dict(type='SSIMLoss', weight=1.0, window=48)],
    smoothness=1e-4, monotony=10.0, keep_gradients=True)

train_dataloader = dict(batch_size=6, dataset=dict(truth='RoadScene_train/teacher', pipeline=[
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(128, 128))]),
    dict(type='PackPair')]))
train_cfg = dict(type='ResumableTrainLoop', max_iters=496 * 28, val_interval=10 * 28)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-5))
default_hooks = dict(checkpoint=dict(interval=10 * 28))
