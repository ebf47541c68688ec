"""Lytro multi-focus pairs (Nejati et al.), 520x520: testing only, described by `vlfusion describe`.

`vlfusion data get Lytro` fetches the pairs.
"""

task = 'mff'
data_root = 'data/mff/Lytro'

test_dataloader = dict(
    batch_size=1, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='near', source_b='far',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
