"""The fusion network of RIS-FUSION (Ma et al., 2025) on RoadScene, with a measured description of each pair.

Reproduces: the released network, the four fusion terms with the weights of the released training command, its
            optimizer, batches of 16 at 480x480, and as many steps as 10 epochs of 12,500 pairs. Not the data, MM-RIS
            with referring expressions; not the segmenter, whose term is `vlfusion_risfusion.ReferredRegionLoss`. BERT
            stays as it is, while the authors train it.
Commands:   vlfusion describe risfusion/risfusion_roadscene
            vlfusion train risfusion/risfusion_roadscene
Needs:      RoadScene, 171 pairs to train on and 50 to test: `vlfusion data get RoadScene`; BERT, which the first
            command fetches.
Expected:   not known: this config was not trained to the end.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/roadscene_train.py',
          'vlfusion::_base_/language/measured.py']

protocol = 'plain'

language = dict(encoder=dict(type='TransformersTextEncoder', model='google-bert/bert-base-uncased'))
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_risfusion.RISFusion'),
    losses=[dict(type='vlfusion_risfusion.SimilarityLoss', weight=3.0, shares=(0.0, 0.5)),
            dict(type='SquaredErrorLoss', weight=3.0, shares=(2.0, 0.5)),
            dict(type='vlfusion_risfusion.EdgeLoss', weight=3.0, shares=(1.0, 0.0)),
            dict(type='vlfusion_risfusion.JointEdgeLoss', weight=3.0)])

train_dataloader = dict(batch_size=16, dataset=dict(pipeline=[
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[dict(type='Resize', scale=(480, 480))]),
    dict(type='PackPair')]))
train_cfg = dict(type='ResumableTrainLoop', max_iters=7810, val_interval=781)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.01))
param_scheduler = [dict(type='PolyLR', by_epoch=False, power=0.9, eta_min=0, end=7810)]
