"""A description of each image by Qwen-VL, a vision chat model, in this process.

Packages:   vlfusion[language,vision]
Download:   9 GB, estimated from 4.4 billion parameters in bfloat16 (Qwen/Qwen3-VL-4B-Instruct)
Memory:     11 GB of GPU, estimated; the same of RAM without a GPU, and slow
Server:     none; for Qwen-VL on a server take vision-server
Key:        none
Price:      none
Width:      384
Source:     Qwen3-VL (2025)
Not known:  the quality of the texts: this recipe has not been run with its published weights.
"""

language = dict(
    store='data/text',
    captioners=[dict(type='ChatVLMCaptioner', model='Qwen/Qwen3-VL-4B-Instruct', device='auto', dtype='bfloat16')],
    llm=dict(type='TemplateLLM'),
    prompt='paragraph',
    encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
text_source = dict(stream='pair/paragraph')
