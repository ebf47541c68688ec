"""Facts computed from pixels, joined by a template, read by BLIP-2 like the texts of FILM.

Packages:   vlfusion[language,vision]
Download:   5 GB, estimated from 1.2 billion parameters (Salesforce/blip2-itm-vit-g)
Memory:     2 GB of GPU or RAM for the part that reads text, estimated
Server:     none
Key:        none
Price:      none
Width:      768
Source:     text features of FILM (Zhao et al., ICML 2024); the words are vlfusion's own
Not known:  whether FILM cleaned its texts (clean='blip_caption' cleans as LAVIS does, and cuts a text to 50 words), and
            how its two paragraphs became 149 rows (join=dict(type='concat', tokens=149) gives that shape).
"""

language = dict(
    store='data/text',
    captioners=[dict(type='MeasuredCaptioner')],
    llm=dict(type='TemplateLLM'),
    prompt='paragraph',
    encoder=dict(type='Blip2TextEncoder', model='Salesforce/blip2-itm-vit-g', device='auto'))
text_source = dict(stream='pair/paragraph')
