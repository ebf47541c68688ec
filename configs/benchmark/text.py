"""Text-guided methods under two kinds of words, on infrared-visible and medical pairs.

Command:    vlfusion benchmark text --get
Needs:      RoadScene, TNO and Harvard with descriptions, and the pairs of MTG with published texts on the ideal fused
            image; the methods' weights; for some methods CLIP, which open_clip fetches at its first use.
            --get downloads pairs and weights, and says how much that is. Many text-guided methods have no public
            weights: their rows say so. A checkpoint of your own training takes their place. Also: pip install
            'vlfusion[benchmark]'.
Hardware:   a CPU; Text-DiFuse, ControlFusion and DTPF want a GPU.
Expected:   docs/explain/did_the_text_do_anything.md says how far the text moves each method.
"""

title = 'Text-guided image fusion'

_described = dict(stream='pair/paragraph')
_ideal = dict(texts='text/ideal/{name}.txt')
_ivf = dict(type='PairDataset', task='ivf', source_a='ir', source_b='vi', text_source=_ideal)
_mif = dict(type='PairDataset', task='mif', source_a='MRI', text_source=_ideal)
datasets = dict(
    RoadScene=dict(config='_base_/datasets/roadscene', text_source=_described),
    TNO=dict(config='_base_/datasets/tno', text_source=_described),
    Harvard=dict(config='_base_/datasets/harvard', text_source=_described, by_subset=True),
    RoadScene_ideal=dict(_ivf, data_root='data/MTG/RoadScene'),
    TNO_ideal=dict(_ivf, data_root='data/MTG/TNO'),
    CT_ideal=dict(_mif, data_root='data/MTG/MRI_CT', source_b='CT', modality_b='CT'),
    PET_ideal=dict(_mif, data_root='data/MTG/MRI_PET', source_b='PET', modality_b='PET'),
    SPECT_ideal=dict(_mif, data_root='data/MTG/MRI_SPECT', source_b='SPECT', modality_b='SPECT'))

_ivf_sets = ['RoadScene', 'TNO', 'RoadScene_ideal', 'TNO_ideal']
_mif_sets = ['Harvard', 'CT_ideal', 'PET_ideal', 'SPECT_ideal']
methods = dict(
    FILM_ivf=dict(checkpoint='film-ivf', datasets=_ivf_sets),
    FILM_mif=dict(checkpoint='film-mif', datasets=_mif_sets),
    FILM_ivf_released=dict(checkpoint='film-ivf-authors', datasets=_ivf_sets),
    FILM_mif_released=dict(checkpoint='film-mif-authors', datasets=_mif_sets),
    TextFusion=dict(checkpoint='textfusion-ivf', datasets=_ivf_sets),
    # A text in training alone: these fuse without words.
    DTPF=dict(checkpoint='dtpf-ivf', datasets=_ivf_sets),
    LDFusion=dict(checkpoint='ldfusion-ivf', datasets=_ivf_sets),
    AutoFuse=dict(checkpoint='autofuse-ivf', datasets=_ivf_sets),
    CLIPMamba=dict(checkpoint='clipmamba-mif', datasets=_mif_sets),
    # No public weights: checkpoints of your own trainings under weights/. HPFusion is not here, since it reads a vision
    # chat's answers to four questions instead of a paragraph.
    TextIF=dict(config='textif/textif_roadscene', checkpoint='weights/textif.pth', datasets=_ivf_sets),
    ControlFusion=dict(config='controlfusion/controlfusion_roadscene', checkpoint='weights/controlfusion.pth',
                       datasets=_ivf_sets),
    NLGFusion=dict(config='nlgfusion/nlgfusion_described', checkpoint='weights/nlgfusion.pth', datasets=_ivf_sets),
    RISFusion=dict(config='risfusion/risfusion_roadscene', checkpoint='weights/risfusion.pth', datasets=_ivf_sets),
    DTPF_teacher=dict(config='dtpf/dtpf_teacher_ivf', checkpoint='weights/dtpf_teacher.pth', datasets=_ivf_sets),
    TextDiFuse=dict(config='textdifuse/textdifuse_ivf', checkpoint='weights/textdifuse.pth', datasets=_ivf_sets))
protocol = 'film'
words = 'measured'
