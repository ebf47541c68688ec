"""CLIP-Mamba (2025), MRI-SPECT, with a text term that trains: the sentence and both sources, in the space of CLIP.

Reproduces: what the paper describes, not what the released script does, whose text term has no gradient. The rest is
            `clipmamba_spect`.
Command:    vlfusion train clipmamba/clipmamba_spect_text
Needs:      SPECT-MRI of Harvard under data/mif/Harvard: `vlfusion data get Harvard`; CLIP ViT-B/32 of open_clip, which
            is fetched at the first step.
Hardware:   not measured.
Expected:   not known: this training has not been run.
"""

_base_ = ['clipmamba_spect.py']

model = dict(
    losses=[dict(type='vlfusion_clipmamba.StructureLoss', weight=10.0),
            dict(type='vlfusion_clipmamba.EdgeLoss', weight=100.0),
            dict(type='vlfusion_clipmamba.CLIPAlignmentLoss', weight=1.0, gradient=True, normalise=True)])
