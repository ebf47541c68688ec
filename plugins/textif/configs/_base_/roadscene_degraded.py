"""RoadScene (Xu et al.): training pairs degraded at random, each with an instruction; test pairs as they are."""

task = 'ivf'
data_root = 'data/ivf'

train_dataloader = dict(
    batch_size=8, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='vlfusion_textif.InstructedPairs', source_a='RoadScene_train/ir', source_b='RoadScene_train/vi',
        name='RoadScene_train',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[
                dict(type='RandomCrop', size=(96, 96)),
                dict(type='RandomFlip', prob=[0.25, 0.25, 0.25],
                     direction=['horizontal', 'vertical', 'diagonal'])]),
            dict(type='vlfusion_textif.Degrade'),
            dict(type='vlfusion_textif.PackDegraded')]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='vlfusion_textif.InstructedPairs', source_a='RoadScene/ir', source_b='RoadScene/vi',
                 name='RoadScene', pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
