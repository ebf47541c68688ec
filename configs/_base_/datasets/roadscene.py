"""RoadScene (Xu et al.), infrared and visible road scenes: testing only, described by `vlfusion describe`.

`vlfusion data get RoadScene` fetches the pairs.
"""

task = 'ivf'
data_root = 'data/ivf/RoadScene'

test_dataloader = dict(
    batch_size=1, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='ir', source_b='vi',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
