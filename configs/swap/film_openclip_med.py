"""FILM guided by the tokens of an open_clip text tower instead of MiniLM's, on Harvard's medical pairs.

Reproduces: nothing published.
Cost:       81,150 steps, as configs/film/film_mif.py: days of two CPU cores, hours of a GPU. For a first look add
            --cfg-options train_cfg.max_iters=500 train_cfg.val_interval=500
Commands:   vlfusion describe swap/film_openclip_med
            vlfusion train swap/film_openclip_med
Needs:      Harvard's pairs under data/mif/Harvard; CLIP's weights, which open_clip fetches from its hub.
Expected:   not known.
Not known:  whether a text encoder trained with images guides fusion differently from one trained without.
Text:       512-d tokens. CLIP reads 77 tokens, so a paragraph is split at ends of sentences.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/harvard.py', '../_base_/schedules/film.py']

language = dict(
    store='data/text',
    captioners=[dict(type='MeasuredCaptioner')],
    llm=dict(type='TemplateLLM'),
    prompt='paragraph',
    encoder=dict(type='OpenCLIPTextEncoder', model='ViT-B-32', pretrained='laion2b_s34b_b79k', long='split'))
text_source = dict(stream='pair/paragraph')

model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=512),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=20.0)])
