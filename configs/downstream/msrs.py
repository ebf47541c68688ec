"""MSRS for segmentation: 1,083 and 361 pairs of roads by day and night, 640x480, with eight classes and void.

MSRS/{train,test}/{ir,vi,Segmentation_labels}.

Labels are the numbers of classes; Segmentation_visualize beside them has pictures for the eye. Number 0 is void:
pixels without a label.
"""

task = 'ivf'
data_root = 'data/MSRS'
classes = 'MSRS'
labels = dict(type='IndexMasks')

train = dict(source_a='train/ir', source_b='train/vi', labels='train/Segmentation_labels')
test = dict(source_a='test/ir', source_b='test/vi', labels='test/Segmentation_labels')
