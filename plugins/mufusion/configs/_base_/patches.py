"""Patches of 128x128 pixels, cut beforehand: the memory unit needs the same patch at each visit.

The folders are those of the authors: IR and VIS, with one file each for every pair of patches. `test` holds whole pairs
of your choice in the same two folders; the authors do not validate.
"""

train_dataloader = dict(
    batch_size=48, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(type='PairDataset', source_a='IR', source_b='VIS',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='test/IR', source_b='test/VIS',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
