"""LDFusion's language-driven loss (Wang et al., ACM MM 2025) on RoadScene, with a small backbone instead of LDFusion's.

Reproduces: weights, views, batches and schedule of the released loss. Any backbone can be named here. Two terms on
            pixels replace the perceptual term, so VGG-19 is not needed.
Commands:   vlfusion train ldfusion/clip_directional_roadscene
            vlfusion fuse CHECKPOINT IR/ VI/ -o fused/
Needs:      RoadScene, 171 pairs to train on and 50 to test: `vlfusion data get RoadScene`; CLIP
            ViT-B/32 of open_clip, which is fetched at the first step; `pip install --editable plugins/hello_fusion`.
Expected:   not known: this config was not trained to the end.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/roadscene.py']

model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_hello.HelloNet', dim=32),
    losses=[dict(type='vlfusion_ldfusion.CLIPDirectionalLoss', global_weight=2.0, patch_weight=10.0,
                 similarity_weight=6.0, patches=32),
            dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=10.0)])
