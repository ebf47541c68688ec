"""HPFusion (Yang et al., ICASSP 2025) on M3FD, infrared-visible, guided by a vision chat's answers about each source.

Reproduces: network, losses, optimizer, batches, epochs and the schedule of the released script. The four questions are
            in our words, and OpenCV resizes the images.
Commands:   vlfusion describe hpfusion/hpfusion_ivf
            vlfusion train hpfusion/hpfusion_ivf
Needs:      M3FD_Detection.zip of M3FD in data/ivf/M3FD_Detection/{ir,vi}, 4,200 pairs to train on, and the 300 pairs
            for fusion to validate: `vlfusion data M3FD`. A server with a vision chat that speaks OpenAI's protocol, at
            VLFUSION_SERVER; the authors use LLaVA 1.6 (Mistral, 7 billion). CLIP RN50 of open_clip, which the first
            command fetches.
Hardware:   not measured.
Expected:   not known: this config was not trained to the end.
Not known:  the authors' answers.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/model.py']

task = 'ivf'
data_root = 'data/ivf'
protocol = 'cddfuse'

language = dict(
    store='data/text',
    captioners=[  # the questions in the order of the prompt's answers
        dict(type='OpenAICaptioner', model='{{$VLFUSION_SERVER_MODEL:local}}', question=question,
             base_url='{{$VLFUSION_SERVER:http://localhost:8080/v1}}', max_tokens=60, timeout=600)
        for question in ('What stands out? One sentence.', 'What deserves attention? One sentence.',
                         'Where is contrast strong? One sentence.', 'Describe the image in one sentence.')],
    llm=dict(type='AnswersLLM'),
    prompt='perception',
    encoder=dict(type='OpenCLIPTextEncoder', model='RN50-quickgelu', pretrained='openai', output='pooled'))
text_source = dict(text_a=dict(stream='source_a/paragraph'), text_b=dict(stream='source_b/paragraph'))

train_dataloader = dict(
    batch_size=8, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset', source_a='M3FD_Detection/ir', source_b='M3FD_Detection/vi', name='M3FD_Detection',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[dict(type='Resize', scale=(320, 320))]),
            dict(type='PackPair'),
        ]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='M3FD/ir', source_b='M3FD/vi', name='M3FD',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader

# Epochs of 4,200 // 8 = 525 steps; the rate falls by a tenth after each.
train_cfg = dict(type='ResumableTrainLoop', max_iters=15 * 525, val_interval=525)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4))
param_scheduler = [dict(type='StepLR', by_epoch=False, step_size=525, gamma=0.9)]
