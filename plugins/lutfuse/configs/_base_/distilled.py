"""RoadScene with pictures of a teacher: crops of 128x128 to train on, whole images to validate; you make the pictures.

They lie in RoadScene_train/teacher, with the file names of the sources. Any method of this toolkit can be the teacher:
`vlfusion fuse MODEL IR/ VI/ -o TEACHER/`.
"""

task = 'ivf'
data_root = 'data/ivf'

train_dataloader = dict(
    batch_size=6, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset', source_a='RoadScene_train/ir', source_b='RoadScene_train/vi',
        truth='RoadScene_train/teacher', name='RoadScene_train',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(128, 128))]),
            dict(type='PackPair'),
        ]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='RoadScene/ir', source_b='RoadScene/vi', name='RoadScene',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
