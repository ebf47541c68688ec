"""Does fusing help segmentation? SegFormer on MSRS, one for each method and one for each source alone.

Command:    vlfusion downstream test downstream/study_msrs
Needs:      MSRS as `downstream/msrs` describes it; pip install 'vlfusion[downstream,language,vision,weights]'. The
            weights nvidia/mit-b1 come from the Hugging Face hub at the first use (55 MB).
Hardware:   a GPU with 16 GB. 20,000 steps of eight pictures for each row and seed. Time and
            scores are not measured.
Budget:     that of the SegFormer paper in rate and optimizer, with an eighth of its steps.
"""

_base_ = './msrs.py'

title = 'Segmentation on MSRS'
methods = dict(Average='average', LaplacianPyramid='laplacian', FILM='film-ivf')
network = dict(type='TransformersSegmenter', model='nvidia/mit-b1', new_head=True, size=(480, 640), device='auto')
training = dict(max_iters=20_000, batch_size=8, size=(480, 640), lr=6e-5, workers=4)
seeds = [0, 1, 2]
protocol = 'plain'
