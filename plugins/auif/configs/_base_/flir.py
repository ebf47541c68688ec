"""The FLIR pairs of AUIF-Net: 180 to train, 40 to test, from the folder Datasets of the authors' repository."""

task = 'ivf'
data_root = 'data/ivf/AUIF'

train_dataloader = dict(
    batch_size=16, num_workers=2, persistent_workers=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset', name='FLIR', source_a='Train_data_FLIR/FLIR/IR{name}.*',
        source_b='Train_data_FLIR/FLIR/VIS{name}.*',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[dict(type='vlfusion_auif.RandomResizedCrop', size=128)]),
            dict(type='PackPair'),
        ]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', name='FLIR', source_a='Test_data_FLIR/IR{name}.*',
                 source_b='Test_data_FLIR/VIS{name}.*', pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
