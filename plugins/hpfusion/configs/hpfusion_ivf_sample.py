"""HPFusion on the simulated infrared-visible sample, with one fixed answer about each source and no server.

Commands:   vlfusion prepare-data sample
            vlfusion describe hpfusion/hpfusion_ivf_sample
            vlfusion train hpfusion/hpfusion_ivf_sample
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py', '_base_/model.py']

protocol = 'cddfuse'
language = dict(store='data/text',
                encoder=dict(type='SentenceTransformersEncoder', model='all-MiniLM-L6-v2', output='pooled'))
text_source = dict(text_a=dict(fixed='Warm things stand out before a dark background.'),
                   text_b=dict(fixed='The image shows the texture of the scene.'))
model = dict(backbone=dict(text_dim=384))
default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
