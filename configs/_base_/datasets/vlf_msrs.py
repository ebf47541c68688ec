"""MSRS in the layout of the VLF dataset, with the published BLIP-2 features.

Image/IVF/MSRS/{IR,VI}, TextFeature/IVF/MSRS.

Training sees whole images at 384x288, as the released FILM does; testing sees them at their original size.
"""

task = 'ivf'
data_root = 'data/VLFDataset'
text_source = dict(files='TextFeature/IVF/MSRS/{name}.npy')

train_dataloader = dict(
    batch_size=2, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset', source_a='Image/IVF/MSRS/IR', source_b='Image/IVF/MSRS/VI',
        names='Image/IVF/MSRS/train.txt',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[dict(type='FilmResize')]),
            dict(type='PackPair'),
        ]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PairDataset', source_a='Image/IVF/MSRS/IR', source_b='Image/IVF/MSRS/VI',
        names='Image/IVF/MSRS/test.txt', pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
