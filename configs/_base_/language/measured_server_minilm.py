"""Measured facts, paragraphs by an LLM on your own OpenAI-compatible server, and tokens of all-MiniLM-L6-v2.

The server may be that of llama.cpp, vLLM, transformers or another. Start it, and give its address and model name in a
copy of this file or by --cfg-options language.llm.base_url=http://localhost:8000/v1 language.llm.model=NAME.
"""

language = dict(
    store='data/text',
    captioners=[dict(type='MeasuredCaptioner')],
    llm=dict(type='OpenAILLM', model='local', base_url='http://localhost:8080/v1', concurrency=4, max_tokens=300,
             timeout=600),
    prompt='paragraph',
    encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
text_source = dict(stream='pair/paragraph')
