"""LDFusion (Wang et al., ACM MM 2025) on RoadScene: words guide the training, the network reads none.

Reproduces: network, losses, their weights, views, noise, batches and schedule of the released script. Not its data,
            which is not named, nor its sentences: put those of `src/trainer.py` as `prompt`, `prompt_a` and `prompt_b`.
Commands:   vlfusion train ldfusion/ldfusion_roadscene
            vlfusion fuse CHECKPOINT IR/ VI/ -o fused/
Needs:      RoadScene, 171 pairs to train on and 50 to test: `vlfusion data get RoadScene`; CLIP ViT-B/32 of open_clip
            and VGG-19 (548 MB), which are fetched at the first step.
Expected:   not known: this config was not trained to the end.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/roadscene.py']

protocol = 'truncate'
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_ldfusion.LDFusion', noise=0.03),
    losses=[dict(type='vlfusion_ldfusion.CLIPDirectionalLoss', global_weight=2.0, patch_weight=10.0,
                 similarity_weight=6.0, patches=32, least_entropy=6.0),
            dict(type='vlfusion_ldfusion.MaxFeatureLoss', weight=10.0)])
