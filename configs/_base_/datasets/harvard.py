"""Harvard medical images: MRI with CT, PET or SPECT, 256x256; 738 pairs to train on and 72 to test.

The folders are those of Xianming Gu's collection: {CT,PET,SPECT}-MRI/{train,test}/{MRI,<modality>}. File names repeat
among the three sets, so the name of a pair begins with its set: `PET-MRI/25015`.

`vlfusion data get Harvard` fetches the pairs.
"""

task = 'mif'
data_root = 'data/mif/Harvard'

train_dataloader = dict(
    batch_size=2, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset',
        subsets={
            'CT-MRI': dict(source_a='CT-MRI/train/MRI', source_b='CT-MRI/train/CT', modality_b='CT'),
            'PET-MRI': dict(source_a='PET-MRI/train/MRI', source_b='PET-MRI/train/PET', modality_b='PET'),
            'SPECT-MRI': dict(source_a='SPECT-MRI/train/MRI', source_b='SPECT-MRI/train/SPECT', modality_b='SPECT')},
        pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PairDataset',
        subsets={
            'CT-MRI': dict(source_a='CT-MRI/test/MRI', source_b='CT-MRI/test/CT', modality_b='CT'),
            'PET-MRI': dict(source_a='PET-MRI/test/MRI', source_b='PET-MRI/test/PET', modality_b='PET'),
            'SPECT-MRI': dict(source_a='SPECT-MRI/test/MRI', source_b='SPECT-MRI/test/SPECT', modality_b='SPECT')},
        pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
