"""DTPF (Zhang et al., TCSVT 2025), infrared-visible: the teacher, whose losses and features follow events of a text.

Reproduces: the released network, losses, weights by event and schedule for luminance: 500 epochs of 257 batches of four
            crops of 128, AdamW at 1e-4. The rate falls to 1e-6 and returns every 1,000 steps: the authors meant one
            fall in 500 epochs, but their code counts steps.
Commands:   vlfusion describe dtpf/dtpf_teacher_ivf
            vlfusion train dtpf/dtpf_teacher_ivf
Needs:      MSRS under data/MSRS; a server with a vision chat (see _base_/events.py) for the first command; CLIP
            ViT-B/32 of open_clip, which the first command fetches.
Expected:   not known: this config was not trained to the end, and the authors do not publish their teacher.
Not known:  their descriptions by Qwen2-VL; text files in their form can be read, see text_source=dict(texts=...) in
            docs/howto/data.md. They train on the first 95 % of the pairs and choose the teacher by the rest; here all
            pairs are trained on.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/msrs_events.py']

protocol = 'plain'
text_source = dict(stream='pair/paragraph')
model = dict(
    type='vlfusion_dtpf.DTPFTeacherModel', backbone=dict(type='vlfusion_dtpf.DTPF', text_dim=512),
    losses=_base_.terms,
    event_weights=dict(
        low_light=dict(max_intensity=48.0, consistency=20.0),
        over_exposure=dict(max_intensity=32.0, consistency=60.0),
        ir_low_contrast=dict(max_intensity=40.0),
        ir_noise=dict(max_intensity=32.0, consistency=60.0),
        motion_blur=dict(max_intensity=32.0, axis_gradient=72.0),
        sensor_artifact=dict(consistency=80.0, axis_gradient=96.0),
        high_noise=dict(max_intensity=32.0, consistency=80.0, axis_gradient=72.0)))

train_dataloader = dict(dataset=dict(words=True))
train_cfg = dict(type='ResumableTrainLoop', max_iters=500 * 257, val_interval=50 * 257)
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=500, eta_min=1e-6)]
