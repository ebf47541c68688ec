"""TextFusion on the simulated infrared-visible sample, with a sentence encoder that needs no download.

Bright infrared pixels stand in for the association maps.
Commands:   vlfusion prepare-data sample
            vlfusion describe textfusion/textfusion_ivf_sample
            vlfusion train textfusion/textfusion_ivf_sample
Needs:      the published weights of VGG-19 and the authors' of DenseFuse, which the last command fetches. Without a
            connection, add `--cfg-options model.losses.0.pretrained=False`: random features then weight the sources.
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py', '_base_/model.py']

protocol = 'plain'
language = dict(store='data/text',
                encoder=dict(type='SentenceTransformersEncoder', model='all-MiniLM-L6-v2', output='pooled'))
text_source = dict(fixed='A pedestrian is walking on the sidewalk.')
model = dict(backbone=dict(text_dim=384))
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadPair'),
    dict(type='vlfusion_textfusion.AssociateBright'),
    dict(type='BothSources', transforms=[
        dict(type='RandomCrop', size=(64, 64)), dict(type='RandomFlip', prob=0.5), dict(type='RandomRotate90')]),
    dict(type='PackPair')]))
default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
