"""SICE in the layout of the VLF dataset, with the published BLIP-2 features.

Image/MEF/SICE/{OVER,UNDER}, TextFeature/MEF/SICE.

Training sees whole images at 384x288, as the released FILM does; testing sees them at their original size.
"""

task = 'mef'
data_root = 'data/VLFDataset'
text_source = dict(files='TextFeature/MEF/SICE/{name}.npy')

train_dataloader = dict(
    batch_size=2, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset', source_a='Image/MEF/SICE/OVER', source_b='Image/MEF/SICE/UNDER',
        names='Image/MEF/SICE/train.txt',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[dict(type='FilmResize')]),
            dict(type='PackPair'),
        ]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PairDataset', source_a='Image/MEF/SICE/OVER', source_b='Image/MEF/SICE/UNDER',
        names='Image/MEF/SICE/test.txt', pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
