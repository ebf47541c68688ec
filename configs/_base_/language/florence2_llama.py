"""A caption and dense captions by Florence-2, written up by Llama on a local server of vLLM or llama.cpp.

`vllm serve meta-llama/Llama-3.1-8B-Instruct` starts the server on a machine with a GPU. For another server give its
address and model in two variables.

Packages:   vlfusion[language,vision,openai]
Download:   1 GB, estimated from 0.23 billion parameters (florence-community/Florence-2-base); the server has its own
            model
Memory:     2 GB of GPU or RAM, estimated; the server's own not counted
Server:     http://localhost:8000/v1, or the address in VLFUSION_SERVER; its model in VLFUSION_SERVER_MODEL
Key:        none
Price:      none
Width:      384
Source:     Florence-2 (Xiao et al., CVPR 2024), Llama 3.1 (2024)
Not known:  the quality of the texts: this recipe has not been run with its published weights.
"""

language = dict(
    store='data/text',
    captioners=[dict(type='FlorenceCaptioner', model='florence-community/Florence-2-base',
                     tasks=['more detailed caption', 'dense region caption'], device='auto')],
    llm=dict(type='OpenAILLM', model='{{$VLFUSION_SERVER_MODEL:meta-llama/Llama-3.1-8B-Instruct}}',
             base_url='{{$VLFUSION_SERVER:http://localhost:8000/v1}}', concurrency=16, max_tokens=300, timeout=600),
    prompt='paragraph',
    encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
text_source = dict(stream='pair/paragraph')
