"""The kinds of models that TransformersTextEncoder reads, each tiny and random."""

import pytest
import torch

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.encoders import TransformersTextEncoder
from vlfusion.language.keys import identity
from vlfusion.registry import TEXT_ENCODERS

TEXTS = ['word is dark', 'dark ' * 12, 'unknown']
COUNTS = [5, 14, 3]
BERT = dict(vocab_size=7, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=30, pad_token_id=0)
CLIP = dict(BERT, max_position_embeddings=77, bos_token_id=3, eos_token_id=1)
T5 = dict(vocab_size=7, d_model=16, d_kv=8, d_ff=16, num_layers=2, num_heads=2)
VISION = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=16,
              patch_size=8)
MODELS = {'BertModel': ('BertConfig', BERT), 'BertForMaskedLM': ('BertConfig', BERT),
          'RobertaModel': ('RobertaConfig', BERT), 'CLIPTextModel': ('CLIPTextConfig', CLIP),
          'CLIPModel': ('CLIPConfig', dict(text_config=CLIP, vision_config=VISION, projection_dim=4)),
          'T5EncoderModel': ('T5Config', T5), 'T5Model': ('T5Config', T5), 'BartModel': ('BartConfig', {})}


def build(name, **changes):
    import transformers
    torch.manual_seed(0)
    config, arguments = MODELS[name]
    return getattr(transformers, name)(getattr(transformers, config)(**arguments | changes)).eval()


def own_features(name, model, inputs):
    """The token features as the model itself gives them."""
    if name == 'CLIPModel':
        return model.get_text_features(**inputs, return_dict=True).last_hidden_state
    part = {'BertForMaskedLM': 'bert', 'T5Model': 'encoder'}.get(name)
    return (getattr(model, part) if part else model)(**inputs).last_hidden_state


@pytest.mark.parametrize(('name', 'longest'), [
    ('BertModel', 30), ('BertForMaskedLM', 30), ('RobertaModel', 29), ('CLIPTextModel', 77), ('CLIPModel', 77)])
def test_models_of_so_many_positions(save, check_encoder, name, longest):
    model = build(name)
    encoder = TransformersTextEncoder(save(model))
    assert (encoder.dim, encoder.max_tokens) == (16, longest)
    check_encoder(encoder, TEXTS, COUNTS)
    with torch.inference_mode():
        inputs = dict(encoder.tokenizer(TEXTS[:1], return_tensors='pt'))
        inputs.pop('token_type_ids', None)
        torch.testing.assert_close(encoder.encode(TEXTS[:1]).features, own_features(name, model, inputs))
    assert encoder.encode(['word ' * (longest - 2)]).mask.sum() == longest
    with pytest.raises(DataError, match=f'has {longest + 1} tokens; the encoder reads at most {longest}'):
        encoder.encode(['word ' * (longest - 1)])


@pytest.mark.parametrize('name', ['T5EncoderModel', 'T5Model'])
def test_t5_has_no_limit_but_the_tokenizers(save, check_encoder, name):
    model = build(name)
    encoder = TransformersTextEncoder(save(model))
    assert type(encoder.model).__name__ == 'T5EncoderModel' and encoder.dim == 16
    check_encoder(encoder, TEXTS, COUNTS)
    with torch.inference_mode():
        inputs = encoder.tokenizer(TEXTS[:1], return_tensors='pt', return_token_type_ids=False)
        torch.testing.assert_close(encoder.encode(TEXTS[:1]).features, own_features(name, model, inputs))
    assert encoder.encode(['word ' * 700]).mask.sum() == 702
    limited = TransformersTextEncoder(save(model, model_max_length=20))
    with pytest.raises(DataError, match='at most 20'):
        limited.encode(['word ' * 19])


def test_a_model_with_a_decoder_alone_is_refused(save):
    tiny = dict(vocab_size=7, d_model=8, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=8, decoder_ffn_dim=8,
                encoder_attention_heads=2, decoder_attention_heads=2)
    with pytest.raises(ConfigError, match='bart has a decoder'):
        TransformersTextEncoder(save(build('BartModel', **tiny)))


def test_weights_that_are_missing_are_not_drawn_at_random(save, tmp_path):
    from safetensors.torch import load_file, save_file
    folder = save(build('BertModel'))
    weights = load_file(tmp_path / 'model.safetensors')
    kept = {key: value for key, value in weights.items() if 'layer.1.' not in key}
    save_file(kept, tmp_path / 'model.safetensors', metadata={'format': 'pt'})
    with pytest.raises(ConfigError, match=r'lacks 16 weights of a BertModel:\s.*encoder.layer.1.'):
        TransformersTextEncoder(folder)


def test_stored_features_keep_their_keys():
    """Descriptions of models that worked before are unchanged."""
    config = dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2')
    assert identity(TEXT_ENCODERS, config | dict(device='cuda', batch_size=2)) == {
        'type': 'vlfusion.TransformersTextEncoder', 'version': '1', 'model': 'all-MiniLM-L6-v2'}
