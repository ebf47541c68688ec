"""Harvard in the layout of the VLF dataset, with the published BLIP-2 features: testing only."""

task = 'mif'
data_root = 'data/VLFDataset'
text_source = dict(files='TextFeature/MIF/Harvard/{name}.npy')

test_dataloader = dict(
    batch_size=1, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PairDataset', source_a='Image/MIF/Harvard/MRI', source_b='Image/MIF/Harvard/T',
        names='Image/MIF/Harvard/test.txt', pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
