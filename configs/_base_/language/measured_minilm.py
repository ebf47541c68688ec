"""Descriptions without a model hub: measured facts in a template, encoded by all-MiniLM-L6-v2 (384-d tokens).

`vlfusion describe CONFIG` fills the store; training reads it.
"""

language = dict(
    store='data/text',
    captioners=[dict(type='MeasuredCaptioner')],
    llm=dict(type='TemplateLLM'),
    prompt='paragraph',
    encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
text_source = dict(stream='pair/paragraph')
