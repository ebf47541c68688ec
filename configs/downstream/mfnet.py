"""MFNet for segmentation: 1,569 pairs of roads by day and night, 640x480, with the classes of MSRS.

MFNet/{infrared,visible,label}, MFNet/{train,val,test}.txt, the layout of MRFS.

MSRS consists of 1,444 of these pairs with enhanced infrared images, and splits them otherwise. Do not train on one and
test on the other.
"""

task = 'ivf'
data_root = 'data/MFNet'
classes = 'MFNet'
labels = dict(type='IndexMasks', place='label')
lists_from = 'The lists come with the data set: put train.txt, val.txt and test.txt into the data root.'

train = dict(source_a='infrared', source_b='visible', names='train.txt')
val = dict(source_a='infrared', source_b='visible', names='val.txt')
test = dict(source_a='infrared', source_b='visible', names='test.txt')
