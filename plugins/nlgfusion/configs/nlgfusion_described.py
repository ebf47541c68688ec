"""NLG-fusion on RoadScene, where the texts about the sources are the descriptions of each image.

This is not a published experiment: the authors give all pairs the same three sentences.
Commands:   vlfusion describe nlgfusion/nlgfusion_described
            vlfusion train nlgfusion/nlgfusion_described
Needs:      RoadScene, 171 pairs to train on and 50 to test: `vlfusion data get RoadScene`; CLIP ViT-B/32 of open_clip,
            which the first command fetches. `--words NAME` takes other describers than the measured facts.
Expected:   not known: this config was not trained to the end.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/roadscene_train.py',
          'vlfusion::_base_/language/measured.py', '_base_/model.py']

# Texts longer than CLIP reads are split at ends of sentences; the network averages the vectors of the pieces.
language = dict(encoder=dict(_delete_=True, type='OpenCLIPTextEncoder', model='ViT-B-32-quickgelu', pretrained='openai',
                             output='pooled', long='split'))
text_source = dict(
    _delete_=True,
    instruction=dict(fixed='This is an infrared and visible image fusion task.'),
    text_a=dict(stream='source_a/paragraph'),
    text_b=dict(stream='source_b/paragraph'))

train_dataloader = dict(batch_size=16, dataset=dict(pipeline=[
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(160, 160)), dict(type='RandomFlip', prob=0.5)]),
    dict(type='PackPair')]))
train_cfg = dict(type='ResumableTrainLoop', max_iters=3000, val_interval=500)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3))
