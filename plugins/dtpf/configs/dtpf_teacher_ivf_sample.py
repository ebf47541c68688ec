"""DTPF's teacher, made small, on the simulated infrared-visible sample under one text, for trying things out.

Commands:   vlfusion prepare-data sample
            vlfusion describe dtpf/dtpf_teacher_ivf_sample
            vlfusion train dtpf/dtpf_teacher_ivf_sample
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py', '_base_/sample_events.py']

protocol = 'plain'
text_source = _base_.event_text
model = dict(
    type='vlfusion_dtpf.DTPFTeacherModel',
    backbone=dict(type='vlfusion_dtpf.DTPF', text_dim=384, dim=16, blocks=(1, 1, 1, 1), refinement=1, expansion=2),
    losses=_base_.terms, event_weights=dict(low_light=dict(max_intensity=48.0, consistency=20.0)))

train_dataloader = dict(dataset=dict(words=True))
default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
