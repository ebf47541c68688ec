"""Multi-focus pairs made from NYU-D, with an all-in-focus truth: testing only, described by `vlfusion describe`.

`vlfusion data get NYU-D` fetches the pairs.
"""

task = 'mff'
data_root = 'data/mff/NYU-D'

test_dataloader = dict(
    batch_size=1, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='source_1', source_b='source_2',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
