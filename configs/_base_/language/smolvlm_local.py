"""A description of each image by SmolVLM, a small vision chat model, in this process. No server, no key.

Packages:   vlfusion[language,vision]
Download:   1 GB, estimated from 0.5 billion parameters in bfloat16 (HuggingFaceTB/SmolVLM-500M-Instruct)
Memory:     3 GB of GPU or RAM, estimated
Server:     none
Key:        none
Price:      none
Width:      384
Source:     SmolVLM (Marafioti et al., 2025)
Not known:  the quality of the texts: this recipe has not been run with its published weights.
"""

language = dict(
    store='data/text',
    captioners=[dict(type='ChatVLMCaptioner', model='HuggingFaceTB/SmolVLM-500M-Instruct', device='auto')],
    llm=dict(type='TemplateLLM'),
    prompt='paragraph',
    encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
text_source = dict(stream='pair/paragraph')
