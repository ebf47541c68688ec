"""Language sections are held to their form, and mistakes are named."""

import pytest

from vlfusion.errors import ConfigError
from vlfusion.language.keys import Keys
from vlfusion.language.pipeline import DescriptionPipeline
from vlfusion.language.section import check_section


def test_a_section_of_the_right_form(language):
    check_section(language)
    check_section({**language, 'fixed': ['Fuse them.'], 'captioners': tuple(language['captioners'])})
    check_section({'store': 'text'})
    check_section({**language, 'instruction_encoder': language['encoder']})


@pytest.mark.parametrize('section', ['text', ['store'], 3, None])
def test_what_is_no_section(section):
    with pytest.raises(ConfigError, match='language must be a dict, but the config has'):
        check_section(section)


@pytest.mark.parametrize(('key', 'value', 'message'), [
    ('captionners', [], "unknown key 'captionners'.(?s:.*)Did you mean captioners"),
    ('encode', {}, 'Did you mean encoder'),
    ('prompt', 3, 'language.prompt must be the name of a prompt, but it is 3'), ('prompt', ['pair'], 'language.prompt'),
    ('store', 3, 'language.store must be the path'), ('store', ['a'], 'language.store'), ('llm', 'TemplateLLM',
                                                                                     'language.llm must be a dict'),
    ('llm', ['TemplateLLM'], 'language.llm'), ('llm', dict(type=3), 'language.llm'), ('encoder', 3, 'language.encoder'),
    ('instruction_encoder', 'E', 'language.instruction_encoder must be a dict'),
    ('captioners', 'MeasuredCaptioner', 'language.captioners must be a list'), ('captioners', 3, 'language.captioners'),
    ('captioners', ['MeasuredCaptioner'], 'language.captioners'), ('captioners', dict(type='MeasuredCaptioner'),
                                                                   'a list'),
    ('fixed', 'text', 'language.fixed must be a list of texts'), ('fixed', [''], 'language.fixed'), ('fixed', [3],
                                                                                                'language.fixed')])
def test_a_wrong_key_or_value_is_named(language, key, value, message):
    for check in (check_section, DescriptionPipeline, Keys):
        with pytest.raises(ConfigError, match=message):
            check({**language, key: value})


def test_a_wrong_value_shows_no_secret(language):
    with pytest.raises(ConfigError) as caught:
        check_section({**language, 'llm': dict(model='m', api_key='s3cret')})
    assert 's3cret' not in str(caught.value) and "'model': 'm'" in str(caught.value)


@pytest.mark.parametrize(('key', 'part', 'place'), [
    ('captioners', [dict(type='MeasuredCaptioner', depth=3)], r'language.captioners\[0\]'),
    ('llm', dict(type='TemplateLLM', depth=3), 'language.llm'),
    ('encoder', dict(type='TransformersTextEncoder', depth=3), 'language.encoder')])
def test_arguments_of_the_parts_are_checked_before_anything_is_described(language, key, part, place):
    with pytest.raises(ConfigError, match=rf"no argument 'depth' \({place}\)"):
        DescriptionPipeline({**language, key: part})
