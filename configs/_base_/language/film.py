"""Words as FILM makes them: a caption, dense captions and masks of each image, a paragraph by ChatGPT, and BLIP-2.

Packages:   vlfusion[language,vision,openai]
Download:   23 GB, estimated from the numbers of parameters: BLIP-2 OPT 2.7b 15, BLIP-2 ITM 5, BLIP 1, Florence-2 1,
            SAM 1
Memory:     13 GB of GPU, estimated; the same of RAM without a GPU, and slow
Server:     api.openai.com
Key:        OPENAI_API_KEY
Price:      0.4 US dollars, estimated: 380 tokens read and 120 written for an image, at 0.50 and 1.50 dollars per
            million tokens (list price of May 2026, when the model was deprecated)
Width:      768
Source:     FILM (Zhao et al., ICML 2024), figures 1 and 2: image caption, dense caption and Segment Anything, then
            ChatGPT, then BLIP-2. Its texts resemble those of Image2Paragraph (2023), whose choices fill the gaps.
Not known:  the models and their sizes, the version of ChatGPT, the prompt, and how texts were cleaned and joined. Dense
            captions are Florence-2's: Image2Paragraph has them from GRiT, which transformers does not run. This recipe
            has not been run with its published weights.
"""

language = dict(
    store='data/text',
    captioners=[
        dict(type='TransformersCaptioner', model='Salesforce/blip2-opt-2.7b', device='auto', dtype='float16'),
        dict(type='FlorenceCaptioner', model='florence-community/Florence-2-base', tasks=['dense region caption'],
             device='auto'),
        dict(type='SamMasks', model='facebook/sam-vit-base', top_k=5, device='auto',
             labeller=dict(type='TransformersCaptioner', model='Salesforce/blip-image-captioning-base',
                           device='auto'))],
    llm=dict(type='OpenAILLM', model='gpt-3.5-turbo', price_prompt=0.50, price_completion=1.50),
    prompt='paragraph',
    encoder=dict(type='Blip2TextEncoder', model='Salesforce/blip2-itm-vit-g', device='auto'))
text_source = dict(stream='pair/paragraph')
