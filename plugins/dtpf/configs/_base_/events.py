"""Events of each pair, batches of four crops, and the optimizer, for pairs of any task.

A vision chat describes both images, and an LLM names events. Both run on a server: its address is in VLFUSION_SERVER
and its model in VLFUSION_SERVER_MODEL.
"""

language = dict(
    store='data/text',
    captioners=[dict(type='OpenAIPairCaptioner', model='{{$VLFUSION_SERVER_MODEL:local}}',
                     base_url='{{$VLFUSION_SERVER:http://localhost:8080/v1}}', max_tokens=200, timeout=600)],
    llm=dict(type='OpenAILLM', model='{{$VLFUSION_SERVER_MODEL:local}}',
             base_url='{{$VLFUSION_SERVER:http://localhost:8080/v1}}', max_tokens=300, timeout=600),
    encoder=dict(type='vlfusion_dtpf.EventTextEncoder', encoder=dict(
        type='OpenCLIPTextEncoder', model='ViT-B-32-quickgelu', pretrained='openai', output='pooled', long='split')))

train_dataloader = dict(
    batch_size=4, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(type='PairDataset', pipeline=[
        dict(type='LoadPair'),
        dict(type='BothSources', transforms=[
            dict(type='RandomCrop', size=(128, 128)),
            dict(type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal'])]),
        dict(type='PackPair')]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-4))
