"""A comparison of both images of a pair by Qwen-VL, which sees the two at once.

Packages:   vlfusion[language,vision]
Download:   9 GB, estimated from 4.4 billion parameters in bfloat16 (Qwen/Qwen3-VL-4B-Instruct)
Memory:     11 GB of GPU, estimated; the same of RAM without a GPU, and slow
Server:     none; for Qwen-VL on a server take vision-server-pair
Key:        none
Price:      none
Width:      384
Source:     Qwen3-VL (2025)
Not known:  the quality of the texts: this recipe has not been run with its published weights.
"""

language = dict(
    store='data/text',
    captioners=[dict(type='ChatVLMPairCaptioner', model='Qwen/Qwen3-VL-4B-Instruct', device='auto', dtype='bfloat16')],
    llm=dict(type='TemplateLLM'),
    prompt='pair',
    encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
text_source = dict(stream='pair/paragraph')
