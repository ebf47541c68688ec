"""Measured facts in a template, encoded by BLIP-2 like the texts of FILM (768-d tokens).

`vlfusion describe CONFIG` fetches the weights (Salesforce/blip2-itm-vit-g, several GB) from the Hugging Face hub and
fills the store; training reads it. Set model.backbone.text_dim=768.

Not known: whether FILM cleaned its texts (clean='blip_caption' cleans as LAVIS does, and cuts a text to 50 words), and
how its two paragraphs became 149 rows (join=dict(type='concat', tokens=149) gives that shape).
"""

language = dict(
    store='data/text',
    captioners=[dict(type='MeasuredCaptioner')],
    llm=dict(type='TemplateLLM'),
    prompt='paragraph',
    encoder=dict(type='Blip2TextEncoder', model='Salesforce/blip2-itm-vit-g'))
text_source = dict(stream='pair/paragraph')
