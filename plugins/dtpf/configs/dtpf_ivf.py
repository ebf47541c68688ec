"""DTPF (Zhang et al., TCSVT 2025), infrared-visible: the student, which reads no text and learns from the teacher.

Reproduces: the released network, losses and schedule for luminance, as dtpf_teacher_ivf.py; the rate falls to 1e-7.
Command:    vlfusion train dtpf/dtpf_ivf
Needs:      the pairs and texts of dtpf_teacher_ivf.py, and its checkpoint. Testing and fusing need neither.
Expected:   not known: this config was not trained to the end.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/msrs_events.py']

protocol = 'plain'
model = dict(
    type='vlfusion_dtpf.DTPFStudentModel', teacher='work_dirs/dtpf_teacher_ivf/iter_128500.pth',
    backbone=dict(type='vlfusion_dtpf.DTPF', dim=16, refinement=2, expansion=2), losses=_base_.terms)

train_dataloader = dict(dataset=dict(text_source=dict(stream='pair/paragraph')))
train_cfg = dict(type='ResumableTrainLoop', max_iters=500 * 257, val_interval=50 * 257)
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=500, eta_min=1e-7)]
