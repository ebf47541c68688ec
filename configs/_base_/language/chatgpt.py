"""A description of each image by a vision chat of OpenAI.

Packages:   vlfusion[language,openai]
Download:   none
Memory:     1 GB; no GPU
Server:     api.openai.com
Key:        OPENAI_API_KEY
Price:      0.4 US dollars, estimated: 530 tokens read and 80 written for an image of 640x480 (300 patches of 32x32,
            times 1.62), at 0.40 and 1.60 dollars per million tokens (list price of April 2026)
Width:      384
Source:     GPT-4.1 mini (2025)
Not known:  the quality of the texts: OpenAI's own service was not asked.
"""

language = dict(
    store='data/text',
    captioners=[dict(type='OpenAICaptioner', model='gpt-4.1-mini', max_tokens=200, price_prompt=0.40,
                     price_completion=1.60)],
    llm=dict(type='TemplateLLM'),
    prompt='paragraph',
    encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
text_source = dict(stream='pair/paragraph')
