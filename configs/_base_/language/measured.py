"""Facts computed from pixels, joined by a template. It needs no model, no server and no key.

Packages:   vlfusion[language]
Download:   none; the text encoder comes with its package
Memory:     1 GB; no GPU
Server:     none
Key:        none
Price:      none
Width:      384
Source:     vlfusion's own
Not known:  whether a network learns more from these facts than from FILM's paragraphs. They name no object.
"""

language = dict(
    store='data/text',
    captioners=[dict(type='MeasuredCaptioner')],
    llm=dict(type='TemplateLLM'),
    prompt='paragraph',
    encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
text_source = dict(stream='pair/paragraph')
