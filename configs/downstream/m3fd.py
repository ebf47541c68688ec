"""M3FD for detection: 4,200 pairs of roads and campuses, mostly 1024x768, with boxes of six classes.

M3FD_Detection/{ir,vi,labels,Annotation}, M3FD_Detection/ImageSets/Main/{trainval,test}.txt.

This is the layout of TarDAL's code. The package of its authors has Ir, Vis and XML labels in Annotation, which
downstream/m3fd_xml reads. No split is official. These lists are those of E2E-MFD (2,940 and 1,260 names). For TarDAL's,
set names to meta/train.txt and meta/val.txt.

Text labels hold numbers, and two lists of names are in use, which swap Lamp and Motorcycle. This one is TarDAL's. If
Annotation is there too, `vlfusion downstream check` compares both.
"""

task = 'ivf'
data_root = 'data/M3FD_Detection'
classes = 'M3FD'
labels = dict(type='YOLOLabels', place='labels')
compared_labels = dict(type='VOCLabels', place='Annotation')
lists_from = (
    'github.com/icey-zhang/E2E-MFD-HOD has the lists in datasets/M3FD/ImageSets/Main: copy the folder ImageSets into '
    'the data root. For lists of your own, set train.names and test.names.')

train = dict(source_a='ir', source_b='vi', names='ImageSets/Main/trainval.txt')
test = dict(source_a='ir', source_b='vi', names='ImageSets/Main/test.txt')
