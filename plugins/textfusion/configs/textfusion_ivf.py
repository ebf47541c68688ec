"""TextFusion (Information Fusion 2025) on the authors' IVT training set: 2,000 pairs of LLVIP with five sentences each.

Reproduces: network, loss, optimizer, images of half size and number of steps of the released script, one pair a step.
            That script reads only the first five images of each shuffled epoch, again and again (see the README); here
            an epoch has all 10,000 sentences.
Commands:   vlfusion describe textfusion/textfusion_ivf
            vlfusion train textfusion/textfusion_ivf
Needs:      the training set and its association maps, arranged as the README says, as data/ivf/IVT_train; LLVIP to
            validate on: `vlfusion data LLVIP` says where it is; CLIP ViT-B/32, VGG-19 and DenseFuse, which the commands
            fetch.
Hardware:   not measured.
Expected:   not known: this config was not trained to the end.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/model.py']

task = 'ivf'
protocol = 'plain'
data_root = 'data/ivf'
language = dict(
    store='data/text',
    encoder=dict(type='OpenCLIPTextEncoder', model='ViT-B-32-quickgelu', pretrained='openai', output='pooled',
                 long='split'))
text_source = dict(texts='IVT_train/text/{name}.txt')

train_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset', name='IVT_train',
        subsets={str(number): dict(source_a='IVT_train/ir', source_b='IVT_train/vis',
                                   maps=dict(association=f'IVT_train/association/{number}'))
                 for number in range(1, 6)},
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[dict(type='Resize', scale_factor=0.5)]),
            dict(type='PackPair'),
        ]))
# The authors compare with methods without text under the empty text, which replaces the fixed one.
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='LLVIP/infrared/test', source_b='LLVIP/visible/test', name='LLVIP',
                 text_source=dict(fixed='A pedestrian is walking on the sidewalk.'), text_policy='empty',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
# Three epochs of 10,000 steps.
train_cfg = dict(type='ResumableTrainLoop', max_iters=30_000, val_interval=10_000)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
