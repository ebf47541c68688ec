"""AutoFuse (by LDFusion's authors) on views of pairs, each with its own words: wanted and unwanted qualities.

Reproduces: network, losses, their weights, sizes, noise, batches and schedule of the released script. Not its 300,000
            views, nor its texts and models: here, a vision chat model compares both images, and an LLM on a server
            turns its words into the two texts that the prompt `degradations` asks for.
Commands:   python -m vlfusion_ldfusion cut data/ivf/RoadScene_train/ir data/ivf/RoadScene_train/vi data/ivf/views
            vlfusion describe ldfusion/autofuse_views
            vlfusion train ldfusion/autofuse_views
Needs:      RoadScene: `vlfusion data get RoadScene`; a server for the LLM, as `language` says; CLIP ViT-B/32 of
            open_clip and VGG-19 (548 MB), which are fetched at the first step.
Expected:   not known: this config was not trained to the end. Without `text_source` it trains under the two texts for
            all pairs alone, and needs no describing.
"""

_base_ = ['vlfusion::_base_/runtime.py']

task = 'ivf'
data_root = 'data/ivf'
protocol = 'truncate'
language = dict(
    store='data/text',
    captioners=[dict(type='ChatVLMPairCaptioner', model='Qwen/Qwen3-VL-4B-Instruct', device='auto', dtype='bfloat16')],
    llm=dict(type='OpenAILLM', model='{{$VLFUSION_SERVER_MODEL:meta-llama/Llama-3.1-8B-Instruct}}',
             base_url='{{$VLFUSION_SERVER:http://localhost:8000/v1}}', max_tokens=100),
    prompt='degradations',
    encoder=dict(type='OpenCLIPTextEncoder', model='ViT-B-32-quickgelu', pretrained='openai', output='pooled'))

model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_ldfusion.AutoFuse', noise=0.03),
    losses=[dict(type='vlfusion_ldfusion.ContrastiveDirectionalLoss', global_weight=2.0, patch_weight=20.0,
                 own_weight=1.0, patches=32, least_entropy=5.9),
            dict(type='vlfusion_ldfusion.MaxFeatureLoss', weight=8.5, layers=['conv3_1', 'conv4_2'])])

train_dataloader = dict(
    batch_size=12, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(type='PairDataset', source_a='views/ir', source_b='views/vi', name='views',
                 text_source=dict(stream='pair/paragraph'), pipeline=[
                     dict(type='LoadPair'),
                     dict(type='BothSources', transforms=[dict(type='RandomFlip', prob=0.5)]),
                     dict(type='PackPair')]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='RoadScene/ir', source_b='RoadScene/vi', name='RoadScene',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader

# Epochs of 40,000 views are 3,333 steps; from the fiftieth on, the rate is halved every ten epochs.
train_cfg = dict(type='ResumableTrainLoop', max_iters=100 * 3333, val_interval=3333)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=7.5e-4))
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, gamma=0.5,
                        milestones=[epoch * 3333 for epoch in (50, 60, 70, 80, 90)])]
