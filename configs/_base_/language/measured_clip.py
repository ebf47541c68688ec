"""Facts computed from pixels, which CLIP ViT-B/32 reads as one vector.

Packages:   vlfusion[language,vision]
Download:   0.6 GB
Memory:     1 GB; no GPU
Server:     none
Key:        none
Price:      none
Width:      512
Source:     vlfusion's own
Not known:  the use of these facts to networks that learned from short sentences. CLIP cuts at 77 tokens, so a longer
            paragraph is read in pieces, whose vectors a network averages.
"""

_base_ = ['measured.py']

language = dict(encoder=dict(_delete_=True, type='OpenCLIPTextEncoder', model='ViT-B-32-quickgelu', pretrained='openai',
                             output='pooled', long='split'))
