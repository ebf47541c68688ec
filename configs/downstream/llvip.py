"""LLVIP for detection: 15,488 pairs of streets in low light, 1280x1024, with boxes of people.

LLVIP/{infrared,visible}/{train,test}, LLVIP/Annotations.

The folders are the split: 12,025 and 3,463 pairs, with 33,648 and 7,931 boxes. Numbers in the XML labels are edges of
boxes, as the authors' own code takes them. Labels that were converted for YOLO are read with labels.type=YOLOLabels,
and with labels/train and labels/val as the places of the two splits.
"""

task = 'ivf'
data_root = 'data/ivf/LLVIP'
classes = 'LLVIP'
labels = dict(type='VOCLabels', place='Annotations', corners='edges')

train = dict(source_a='infrared/train', source_b='visible/train')
test = dict(source_a='infrared/test', source_b='visible/test')
