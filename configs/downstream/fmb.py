"""FMB for segmentation: 1,220 and 280 pairs of roads, 800x600, with 14 classes and void.

FMB/{train,test}/{Infrared,Visible,Label}.

Number 0 is void: pixels without a label. Papers state mIoU of 14 classes, of 15 with void, or of 13 without Bicycle.
"""

task = 'ivf'
data_root = 'data/FMB'
classes = 'FMB'
labels = dict(type='IndexMasks')

train = dict(source_a='train/Infrared', source_b='train/Visible', labels='train/Label')
test = dict(source_a='test/Infrared', source_b='test/Visible', labels='test/Label')
