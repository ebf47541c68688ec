"""M3FD for detection as its authors publish it: XML labels, which hold names instead of numbers.

M3FD_Detection/{Ir,Vis,Annotation}, M3FD_Detection/ImageSets/Main/{trainval,test}.txt.

No split is official. These lists are those of E2E-MFD (2,940 and 1,260 names), the same as of downstream/m3fd. Released
converters of the labels differ by a pixel: some subtract 1 from the upper left corner, as VOC counts, and some do not,
as here.
"""

_base_ = ['m3fd.py']

labels = dict(_delete_=True, type='VOCLabels', place='Annotation', corners='edges')
compared_labels = None

train = dict(source_a='Ir', source_b='Vis')
test = dict(source_a='Ir', source_b='Vis')
