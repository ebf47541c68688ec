"""Words chosen for a config: its section, the texts that it reads, and the width of its backbone's text."""

import pytest

from vlfusion.config import load_config
from vlfusion.data.words import use_words
from vlfusion.errors import UnknownNameError

STREAM = dict(stream='pair/paragraph')


def used(name, words, changes=None, **options):
    config = load_config(name, changes)
    return config, use_words(config, words, **options)


def test_published_features_give_way_to_descriptions():
    config, note = used('film/film_ivf', 'measured')
    assert config.text_source == STREAM and config.language.encoder.model == 'all-MiniLM-L6-v2'
    assert config.model.backbone.text_dim == 384 and note.startswith('Words by the recipe measured: MeasuredCaptioner')


def test_the_width_follows_the_words_of_a_model_that_is_yet_to_be_trained():
    config, _ = used('film/film_mif', 'film')
    assert config.model.backbone.text_dim == 768 and config.language.llm.model == 'gpt-3.5-turbo'
    config, note = used('film/film_mif', 'film', trained=True)
    assert config.model.backbone.text_dim == 384 and config.language.encoder.model == 'all-MiniLM-L6-v2'
    assert config.language.llm.model == 'gpt-3.5-turbo' and "the model's text encoder" in note
    config, _ = used('film/film_mif', dict(store='x', captioners=[dict(type='A')], encoder=dict(type='B')))
    assert config.model.backbone.text_dim == 384, 'a width that is not known stays'


def test_options_change_the_words_and_not_what_they_replace():
    config, _ = used('film/film_mif', 'measured-server', options={'language.llm.base_url': 'http://there:1/v1'})
    assert config.language.llm.base_url == 'http://there:1/v1' and config.language.store == 'data/text'
    config, _ = used('film/film_mif', 'chatgpt', {'language.store': 'mine'})
    assert config.language.store == 'mine', "a recipe writes to the config's own store"


def test_several_texts_keep_their_names_and_fixed_texts_stay():
    several = dict(a=dict(stream='source_a/paragraph'), b=dict(files='{name}.npy'), c=dict(fixed='Fuse.'))
    config = load_config('film/film_mif')
    config.text_source = several
    config.model.backbone.text_dim = dict(a=8, b=8, c=8)
    use_words(config, 'film')
    assert config.text_source == several | dict(b=STREAM)
    assert config.model.backbone.text_dim == dict(a=768, b=768, c=768)


def test_a_data_set_of_its_own_text_and_a_model_without_text():
    config = load_config('film/film_mif')
    config.text_source = None
    config.test_dataloader.dataset.text_source = dict(files='{name}.npy')
    use_words(config, 'measured')
    assert config.test_dataloader.dataset.text_source == STREAM and not config.text_source
    backbone = dict(type='TimmFusion', _delete_=True)
    config = load_config('film/film_mif', {'text_source': None, 'model.backbone': backbone})
    use_words(config, 'measured')
    assert not config.text_source and 'text_dim' not in config.model.backbone


def test_a_data_set_alone_has_no_backbone():
    config, _ = used('_base_/datasets/lytro', 'qwen-vl')
    assert config.language.captioners[0].type == 'ChatVLMCaptioner' and not config.get('text_source')
    with pytest.raises(UnknownNameError, match='Did you mean qwen-vl'):
        use_words(config, 'qwen-v')
