"""MEFB (Zhang 2021), one folder per scene: testing only, described by `vlfusion describe`.

In the published folders `_A` is the under-exposed image. Source A, the over-exposed image, is therefore `_B`.

`vlfusion data get MEFB` fetches the pairs.
"""

task = 'mef'
data_root = 'data/mef/MEFB'

test_dataloader = dict(
    batch_size=1, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='*/{name}_B.*', source_b='*/{name}_A.*',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
