"""A description of each image by a vision chat on your own OpenAI-compatible server: Qwen-VL, SmolVLM, LLaVA.

`llama-server -hf ggml-org/SmolVLM-500M-Instruct-GGUF` of llama.cpp starts such a server with a small model.

Packages:   vlfusion[language,openai]
Download:   none here; the server has its own model
Memory:     1 GB; no GPU here
Server:     http://localhost:8080/v1, or the address in VLFUSION_SERVER; its model in VLFUSION_SERVER_MODEL
Key:        none
Price:      none
Width:      384
Source:     vlfusion's own
Not known:  how good the texts are; that depends on the model of the server.
"""

language = dict(
    store='data/text',
    captioners=[dict(type='OpenAICaptioner', model='{{$VLFUSION_SERVER_MODEL:local}}',
                     base_url='{{$VLFUSION_SERVER:http://localhost:8080/v1}}', max_tokens=200, timeout=600)],
    llm=dict(type='TemplateLLM'),
    prompt='paragraph',
    encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
text_source = dict(stream='pair/paragraph')
