"""Does fusing help detection? Faster R-CNN on M3FD, one for each method and one for each source alone.

Command:    vlfusion downstream test downstream/study_m3fd
Needs:      M3FD as `downstream/m3fd_xml` describes it; pip install 'vlfusion[downstream,language,vision,weights]'.
            torchvision's weights of COCO are loaded at the first use (160 MB).
Hardware:   a GPU with 16 GB. 20,000 steps of eight pictures for each row and seed. Time and scores are not measured.
Budget:     the same network, split, steps and seeds for every row. Papers use YOLO's networks: fuse with `vlfusion
            fuse`, train a YOLO elsewhere, and score its files with `vlfusion downstream score`.
"""

_base_ = './m3fd_xml.py'

title = 'Detection on M3FD'
methods = dict(Average='average', LaplacianPyramid='laplacian', FILM='film-ivf')
network = dict(type='TorchvisionDetector', model='fasterrcnn_resnet50_fpn', weights='COCO_V1', new_head=True,
               size=(480, 640), device='auto')
training = dict(max_iters=20_000, batch_size=8, size=(480, 640), lr=1e-4, workers=4)
seeds = [0, 1, 2]
protocol = 'plain'
