"""Real-MFF's test pairs (Zhang et al.), 625x433: testing only, described by `vlfusion describe`.

`vlfusion data get Real-MFF` fetches the pairs.
"""

task = 'mff'
data_root = 'data/mff/RealMFF'

test_dataloader = dict(
    batch_size=1, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='near', source_b='far',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
