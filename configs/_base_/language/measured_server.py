"""Facts computed from pixels, written up by an LLM on your own OpenAI-compatible server.

The server may be that of llama.cpp, vLLM, transformers or another; `vlfusion words --serve` starts a small one.

Packages:   vlfusion[language,openai]
Download:   none here; the server has its own model
Memory:     1 GB; no GPU here
Server:     http://localhost:8080/v1, or the address in VLFUSION_SERVER; its model in VLFUSION_SERVER_MODEL
Key:        none
Price:      none
Width:      384
Source:     vlfusion's own
Not known:  how good the paragraphs are; that depends on the model of the server.
"""

language = dict(
    store='data/text',
    captioners=[dict(type='MeasuredCaptioner')],
    llm=dict(type='OpenAILLM', model='{{$VLFUSION_SERVER_MODEL:local}}',
             base_url='{{$VLFUSION_SERVER:http://localhost:8080/v1}}', concurrency=4, max_tokens=300, timeout=600),
    prompt='paragraph',
    encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
text_source = dict(stream='pair/paragraph')
