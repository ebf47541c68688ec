"""DTPF's student, made small, learns from the teacher of dtpf_teacher_ivf_sample.py, for trying things out.

Command:    vlfusion train dtpf/dtpf_ivf_sample
Needs:      the teacher: run the commands of dtpf_teacher_ivf_sample.py first.
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py', '_base_/sample_events.py']

protocol = 'plain'
model = dict(
    type='vlfusion_dtpf.DTPFStudentModel', teacher='work_dirs/dtpf_teacher_ivf_sample/iter_40.pth',
    backbone=dict(type='vlfusion_dtpf.DTPF', dim=8, blocks=(1, 1, 1, 1), refinement=1, expansion=2),
    losses=_base_.terms)

train_dataloader = dict(dataset=dict(text_source=_base_.event_text))
default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
