"""Images of every kind, and tiny random models saved the way real checkpoints are."""

import json

import cv2
import numpy as np
import pytest
import torch

WORDS = ['a photo of a dark street with two parked cars', 'what does this infrared image show',
         'USER: ASSISTANT: <image>', 'an MRI scan of a brain . car , person . tree .']


@pytest.fixture
def pictures() -> list[np.ndarray]:
    """Grey, colour, 16-bit grey, 16-bit colour, and a single pixel."""
    generator = np.random.default_rng(0)
    noise = cv2.GaussianBlur(generator.integers(0, 256, (40, 60, 3)).astype(np.uint8), (0, 0), 3)
    stretched = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)
    deep = stretched.astype(np.uint16) * 257
    return [stretched[..., 0], stretched, deep[:30, :, 1], deep[::-1], np.full((1, 1), 200, np.uint8)]


def scenes(images) -> list[tuple[np.ndarray]]:
    """Images as a captioner of single images is given them."""
    return [(image,) for image in images]


def save(folder, model, processor):
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:  # far from zero, so that what is written depends on the image
            parameter.data.normal_(0, 0.6)
            if len(parameter) == len(processor.tokenizer):  # a caption of special tokens would be empty
                parameter.data[processor.tokenizer.all_special_ids] = 0
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def bert_tokenizer():
    transformers = pytest.importorskip('transformers')
    pieces = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '.', ',']
    pieces += sorted({word for line in WORDS for word in line.lower().split() if word.isalpha() and len(word) > 1})
    pieces += [mark + letter for mark in ('', '##') for letter in 'abcdefghijklmnopqrstuvwxyz']
    return transformers.BertTokenizerFast(vocab={piece: index for index, piece in enumerate(pieces)})


def gpt_tokenizer(**special):
    transformers, tokenizers = pytest.importorskip('transformers'), pytest.importorskip('tokenizers')
    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator(WORDS, vocab_size=290, show_progress=False,
                                special_tokens=['<pad>', '<s>', '</s>', '<|endoftext|>'])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, pad_token='<pad>', bos_token='<s>',
                                                eos_token='</s>', **special)


VISION = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28,
              patch_size=14)
TEXT = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            max_position_embeddings=64)
SIDE = {'height': 28, 'width': 28}


@pytest.fixture(scope='session')
def blip(tmp_path_factory):
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor
    tokenizer = bert_tokenizer()
    text = dict(TEXT, vocab_size=len(tokenizer), encoder_hidden_size=16, projection_dim=16,
                bos_token_id=tokenizer.cls_token_id, sep_token_id=tokenizer.sep_token_id, pad_token_id=0)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=VISION, projection_dim=16))
    return save(tmp_path_factory.mktemp('blip'), model, BlipProcessor(BlipImageProcessor(size=SIDE), tokenizer))


OPT = dict(model_type='opt', hidden_size=16, ffn_dim=16, num_hidden_layers=1, num_attention_heads=2,
           max_position_embeddings=64, word_embed_proj_dim=16, pad_token_id=0, bos_token_id=1, eos_token_id=2)
T5 = dict(model_type='t5', d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, pad_token_id=0, bos_token_id=1,
          eos_token_id=2, decoder_start_token_id=0)


@pytest.fixture(scope='session')
def blip2(tmp_path_factory):
    return save_blip2(tmp_path_factory.mktemp('blip2'), OPT)


@pytest.fixture(scope='session')
def blip2_t5(tmp_path_factory):
    return save_blip2(tmp_path_factory.mktemp('blip2_t5'), T5)


def save_blip2(folder, text):
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor, BlipImageProcessor
    tokenizer = gpt_tokenizer()
    processor = Blip2Processor(BlipImageProcessor(size=SIDE), tokenizer, num_query_tokens=3)
    text = dict(text, vocab_size=len(tokenizer))
    qformer = dict(vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
                   encoder_hidden_size=16, max_position_embeddings=8)
    config = Blip2Config(vision_config=VISION, qformer_config=qformer, text_config=text, num_query_tokens=3,
                         image_token_index=tokenizer.convert_tokens_to_ids('<image>'))
    return save(folder, Blip2ForConditionalGeneration(config), processor)


@pytest.fixture(scope='session')
def git(tmp_path_factory):
    from transformers import CLIPImageProcessor, GitConfig, GitForCausalLM, GitProcessor
    tokenizer = bert_tokenizer()
    config = GitConfig(**TEXT, vision_config=VISION, vocab_size=len(tokenizer), bos_token_id=tokenizer.cls_token_id,
                       eos_token_id=tokenizer.sep_token_id)
    processor = GitProcessor(CLIPImageProcessor(size={'shortest_edge': 28}, crop_size=SIDE), tokenizer)
    return save(tmp_path_factory.mktemp('git'), GitForCausalLM(config), processor)


@pytest.fixture(scope='session')
def llava(tmp_path_factory):
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )
    tokenizer = gpt_tokenizer()
    tokenizer.add_special_tokens({'additional_special_tokens': ['<image>']})
    image_token = tokenizer.convert_tokens_to_ids('<image>')
    template = ("{% for message in messages %}USER: {% for part in message['content'] %}"
                "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
                "{% if add_generation_prompt %} ASSISTANT:{% endif %}")
    processor = LlavaProcessor(CLIPImageProcessor(size={'shortest_edge': 28}, crop_size=SIDE), tokenizer, patch_size=14,
                               vision_feature_select_strategy='default', num_additional_image_tokens=1,
                               chat_template=template)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**dict(VISION, num_hidden_layers=2), projection_dim=16),
        text_config=LlamaConfig(**dict(TEXT, max_position_embeddings=256), vocab_size=len(tokenizer),
                                num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2),
        image_token_index=image_token)
    return save(tmp_path_factory.mktemp('llava'), LlavaForConditionalGeneration(config), processor)


QWEN = ("{% for message in messages %}USER: {% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
        "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
        "{% if add_generation_prompt %} ASSISTANT:{% endif %}")


def qwen_tokenizer():
    """A tokenizer with the marks of images, and their ids by the names in a config."""
    tokenizer = gpt_tokenizer()
    marks = {'vision_start': '<|vision_start|>', 'vision_end': '<|vision_end|>', 'image': '<|image_pad|>',
             'video': '<|video_pad|>'}
    tokenizer.add_special_tokens({'additional_special_tokens': [*marks.values()]})
    return tokenizer, {f'{name}_token_id': tokenizer.convert_tokens_to_ids(mark) for name, mark in marks.items()}


@pytest.fixture(scope='session')
def qwen3(tmp_path_factory):
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )
    tokenizer, marks = qwen_tokenizer()
    sizes = {'shortest_edge': 32 * 32, 'longest_edge': 32 * 32 * 16}
    processor = Qwen3VLProcessor(Qwen2VLImageProcessor(size=sizes, patch_size=16), tokenizer,
                                 Qwen3VLVideoProcessor(size=sizes), chat_template=QWEN)
    config = Qwen3VLConfig(
        text_config=dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, head_dim=8,
                         num_key_value_heads=2, vocab_size=len(tokenizer), max_position_embeddings=512, pad_token_id=0,
                         bos_token_id=1, eos_token_id=2,
                         rope_parameters={'rope_type': 'default', 'rope_theta': 1e4, 'mrope_section': [1, 1, 2]}),
        vision_config=dict(depth=1, hidden_size=16, out_hidden_size=16, num_heads=2, intermediate_size=16,
                           patch_size=16, num_position_embeddings=16, deepstack_visual_indexes=[0]), **marks)
    return save(tmp_path_factory.mktemp('qwen3'), Qwen3VLForConditionalGeneration(config), processor)


@pytest.fixture(scope='session')
def qwen(tmp_path_factory):
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )
    tokenizer, marks = qwen_tokenizer()
    sizes = {'shortest_edge': 28 * 28, 'longest_edge': 28 * 28 * 16}
    processor = Qwen2VLProcessor(Qwen2VLImageProcessor(size=sizes), tokenizer, Qwen2VLVideoProcessor(size=sizes),
                                 chat_template=QWEN)
    config = Qwen2VLConfig(
        text_config=dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                         num_key_value_heads=2, vocab_size=len(tokenizer), max_position_embeddings=512, pad_token_id=0,
                         bos_token_id=1, eos_token_id=2,
                         rope_parameters={'rope_type': 'default', 'rope_theta': 1e4, 'mrope_section': [1, 1, 2]}),
        vision_config=dict(depth=1, embed_dim=16, hidden_size=16, num_heads=2, mlp_ratio=1), **marks)
    return save(tmp_path_factory.mktemp('qwen'), Qwen2VLForConditionalGeneration(config), processor)


@pytest.fixture(scope='session')
def owl(tmp_path_factory):
    from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor, Owlv2Processor
    tokenizer = gpt_tokenizer(model_max_length=16)
    vision = dict(VISION, image_size=32, patch_size=8)
    text = dict(TEXT, max_position_embeddings=16, vocab_size=len(tokenizer), bos_token_id=1, eos_token_id=2)
    model = Owlv2ForObjectDetection(Owlv2Config(text_config=text, vision_config=vision, projection_dim=16))
    processor = Owlv2Processor(Owlv2ImageProcessor(size={'height': 32, 'width': 32}), tokenizer)
    return save(tmp_path_factory.mktemp('owl'), model, processor)


@pytest.fixture(scope='session')
def dino(tmp_path_factory):
    from transformers import (
        BertConfig,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )
    tokenizer = bert_tokenizer()
    swin = SwinConfig(image_size=32, patch_size=4, window_size=2, embed_dim=8, depths=[1, 1, 1, 1],
                      num_heads=[1, 1, 1, 1], out_features=['stage2', 'stage3', 'stage4'])
    config = GroundingDinoConfig(
        backbone_config=swin, text_config=BertConfig(**TEXT, vocab_size=len(tokenizer)), num_queries=6, d_model=32,
        encoder_layers=1, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_ffn_dim=16, max_text_len=64)
    processor = GroundingDinoProcessor(GroundingDinoImageProcessor(size={'shortest_edge': 160, 'longest_edge': 240}),
                                       tokenizer)
    return save(tmp_path_factory.mktemp('dino'), GroundingDinoForObjectDetection(config), processor)


@pytest.fixture(scope='session')
def sam(tmp_path_factory):
    from transformers import SamConfig, SamImageProcessor, SamModel, SamProcessor
    config = SamConfig(
        vision_config=dict(hidden_size=16, output_channels=16, num_hidden_layers=1, num_attention_heads=2,
                           image_size=64, patch_size=16, mlp_dim=16, window_size=2, global_attn_indexes=[0],
                           num_pos_feats=8),
        prompt_encoder_config=dict(hidden_size=16, image_size=64, patch_size=16, mask_input_channels=4),
        mask_decoder_config=dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, mlp_dim=16,
                                 iou_head_hidden_dim=16))
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp('sam')
    SamModel(config).save_pretrained(folder)
    SamProcessor(SamImageProcessor(size={'longest_edge': 64}, pad_size={'height': 64, 'width': 64})).save_pretrained(
        folder)
    return str(folder)


SQUARE = {'height': 64, 'width': 64}


@pytest.fixture(scope='session')
def florence(tmp_path_factory):
    """A tiny Florence-2 of random weights that writes words and places, with the settings of published ones."""
    transformers, tokenizers = pytest.importorskip('transformers'), pytest.importorskip('tokenizers')
    folder = tmp_path_factory.mktemp('florence')
    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator(['a dark street with two parked cars'], vocab_size=290, show_progress=False,
                                special_tokens=['<s>', '<pad>', '</s>', '<unk>', '<mask>'])
    trained.save_model(str(folder))
    merges = [tuple(line.split()) for line in (folder / 'merges.txt').read_text().splitlines()[1:]]
    tokenizer = transformers.BartTokenizer(vocab=json.loads((folder / 'vocab.json').read_text()), merges=merges,
                                           extra_special_tokens={'image_token': '<image>'})
    silent = tokenizer.all_special_ids
    tokenizer.add_tokens([f'<loc_{index}>' for index in range(1000)], special_tokens=True)
    # Two by two patches and their mean.
    pixels = transformers.CLIPImageProcessor(size=SQUARE, do_center_crop=False, image_seq_length=5)
    processor = transformers.Florence2Processor(pixels, tokenizer, post_processor_config={
        'pure_text': {}, 'description_with_bboxes': {}})
    vision = dict(depths=[1] * 4, embed_dim=[8, 8, 8, 16], num_heads=[1] * 4, num_groups=[1] * 4, window_size=2,
                  projection_dim=16)
    text = dict(model_type='bart', vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1,
                encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16,
                max_position_embeddings=256, bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2)
    model = transformers.Florence2ForConditionalGeneration(transformers.Florence2Config(
        text_config=text, vision_config=vision, image_token_id=tokenizer.image_token_id))
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_bos_token_id=0,
        forced_eos_token_id=2, no_repeat_ngram_size=3, num_beams=3, early_stopping=True)
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:  # far from zero, so that what is written depends on the image
            parameter.data.normal_(0, 0.6)
            if len(parameter) == len(tokenizer):
                parameter.data[silent] = 0
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope='session')
def smolvlm(tmp_path_factory):
    """A tiny Idefics3, which SmolVLM is."""
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )
    tokenizer = gpt_tokenizer()
    tokenizer.add_special_tokens({'additional_special_tokens': [
        '<fake_token_around_image>', '<image>', '<end_of_utterance>', '<global-img>']})
    template = ("{% for message in messages %}User:{% for part in message['content'] %}"
                "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
                "{% if add_generation_prompt %} Assistant:{% endif %}")
    side = {'longest_edge': 28}
    pixels = Idefics3ImageProcessor(size=side, max_image_size=side, do_image_splitting=False)
    processor = Idefics3Processor(pixels, tokenizer, image_seq_len=1, chat_template=template)
    config = Idefics3Config(
        vision_config=VISION, scale_factor=2, image_token_id=tokenizer.convert_tokens_to_ids('<image>'),
        text_config=dict(TEXT, model_type='llama', max_position_embeddings=512, vocab_size=len(tokenizer),
                         num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2), pad_token_id=0)
    return save(tmp_path_factory.mktemp('smolvlm'), Idefics3ForConditionalGeneration(config), processor)
