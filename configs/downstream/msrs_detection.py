"""MSRS for detection: 80 pairs, 640x480, with boxes of people and cars.

MSRS/detection/{ir,vi,labels}.

The pairs were chosen to test a network that was trained on COCO, so there is no split for training, and the numbers of
the labels are COCO's: 0 for person, 2 for car. If a label has another number, classes='COCO' reads all 80, without ids.
"""

task = 'ivf'
data_root = 'data/MSRS/detection'
classes = 'MSRS detection'
labels = dict(type='YOLOLabels', place='labels', ids=[0, 2])

test = dict(source_a='ir', source_b='vi')
