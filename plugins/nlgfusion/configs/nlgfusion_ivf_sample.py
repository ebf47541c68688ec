"""NLG-fusion on the simulated infrared-visible sample, with a sentence encoder that needs no download.

Commands:   vlfusion prepare-data sample
            vlfusion describe nlgfusion/nlgfusion_ivf_sample
            vlfusion train nlgfusion/nlgfusion_ivf_sample
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py', '_base_/model.py']

language = dict(store='data/text',
                encoder=dict(type='SentenceTransformersEncoder', model='all-MiniLM-L6-v2', output='pooled'))
text_source = dict(
    instruction=dict(fixed='This is an infrared and visible image fusion task.'),
    text_a=dict(fixed='low contrast and blurred'),
    text_b=dict(fixed='low light degradation'))
model = dict(backbone=dict(text_dim=384))
default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
