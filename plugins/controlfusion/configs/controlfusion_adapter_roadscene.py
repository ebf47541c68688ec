"""The adapter of ControlFusion (Tang et al., NeurIPS 2025): it learns to predict the texts from degraded pairs.

Start from a trained network, so that the checkpoint holds both and fuses without a text.
Reproduces: nothing: the authors released no training of the adapter. The loss and the schedule are guesses.
Commands:   vlfusion train controlfusion/controlfusion_adapter_roadscene \\
                --cfg-options load_from=work_dirs/controlfusion_roadscene/iter_13440.pth
Needs:      what controlfusion_roadscene.py needs, and its checkpoint.
Expected:   not known: this config was not trained to the end.
"""

_base_ = ['controlfusion_roadscene.py']

model = dict(train_adapter=True)
# Only training reads texts. The checkpoint has no text source, so it fuses by the adapter's prediction.
text_source = None
train_dataloader = dict(dataset=dict(text_source=dict(fixed=_base_.text_source.fixed)))
train_cfg = dict(max_iters=20 * 112)
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=20 * 112, eta_min=1e-6)]
