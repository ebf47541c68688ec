"""NLG-fusion (2024) on LLVIP, infrared-visible, with the three sentences of its training.

Reproduces: network, losses, optimizer, batches, epochs and sentences of the released script. Its crops also vary in
            scale and shape before resizing to 320x320; here 320x320 pixels are cropped without resizing. It lowers the
            rate by ten when an epoch's loss has not fallen for ten epochs; this is left out.
Commands:   vlfusion describe nlgfusion/nlgfusion_ivf
            vlfusion train nlgfusion/nlgfusion_ivf
Needs:      LLVIP, 12,025 pairs to train on: `vlfusion data LLVIP` says where it is; CLIP ViT-B/32 of open_clip, which
            the first command fetches.
Hardware:   not measured.
Expected:   not known: this config was not trained to the end.
Not known:  which pairs of LLVIP the authors trained on.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/model.py']

task = 'ivf'
data_root = 'data/ivf/LLVIP'
language = dict(
    store='data/text',
    encoder=dict(type='OpenCLIPTextEncoder', model='ViT-B-32-quickgelu', pretrained='openai', output='pooled'))
text_source = dict(
    instruction=dict(fixed='This is an infrared and visible image fusion task.'),
    text_a=dict(fixed='low contrast and blurred'),
    text_b=dict(fixed='low light degradation'))

train_dataloader = dict(
    batch_size=16, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset', source_a='infrared/train', source_b='visible/train',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(320, 320))]),
            dict(type='PackPair'),
        ]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='infrared/test', source_b='visible/test',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
# Epochs of 12,025 // 16 = 751 steps.
train_cfg = dict(type='ResumableTrainLoop', max_iters=30 * 751, val_interval=2 * 751)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3))
