"""Prompts are versioned and do not change."""

import re

import pytest

from vlfusion.errors import ConfigError, UnknownNameError
from vlfusion.language.answers.structure import schema_check
from vlfusion.language.interfaces import Observation
from vlfusion.language.prompt import PromptTemplate, load_prompt


def test_the_name_alone_is_the_latest_version():
    latest = load_prompt('paragraph')
    assert latest == load_prompt(latest.id)
    with pytest.raises(UnknownNameError):
        load_prompt(f'paragraph@{latest.version + 1}')


@pytest.mark.parametrize(('key', 'near'), [('paragrph', 'paragraph'), ('paragraph@77', 'paragraph@1'), ('', 'par')])
def test_an_unknown_prompt_names_those_there_are(key, near):
    with pytest.raises(UnknownNameError, match=near):
        load_prompt(key)


@pytest.mark.parametrize(('name', 'sha256'), [
    ('paragraph@1', '2458486bb53d9af103b58d790bba69cb3535485af6dcfe21d51fa7e5ec5681dc'),
    ('pair@1', 'abc713fd3dd56cec358471202d99cc53f254b8367ec1b75c9b791ae0fcd7c449'),
    ('questions@1', '4989598a1e9f41f5ae162f44ab31741e1b5a6111b7aa2d06d08e311a0fb1c78c'),
    ('perception@1', 'ae714552c29b76375a8bb7cb992e7f8029bf9f5bc017e5e744d61bf3e481859f'),
    ('objects@1', '42180139eacbb18ead2f28983bba6252e02a1debf304aca0adb7b4b517f8bab5'),
    ('events@1', '8c25724e3c8b250ba0bc53b98b1636daf636e98f96687e22a8f361dc63e07955'),
    ('medical_events@1', '7a1fcc2ef2cf4029588357232b6039bb6604bef0c527bb291c7bc83e52fa6ec3'),
    ('degradations@1', 'a4c749e15eb7a3e22dc5f2c00994c96d8316e73668036ae2cdcf1fa67e42b5dd')])
def test_published_prompts_do_not_change(name, sha256):
    # The hash is in every record made with a prompt. Improve paragraph@1 as paragraph.v2.md.
    assert load_prompt(name).sha256 == sha256


def test_a_prompt_about_a_pair_keeps_its_images_apart():
    prompt = load_prompt('pair')
    assert prompt.of_pair and not load_prompt('paragraph').of_pair
    a, b = Observation('A warm car', box=(0, 0, 0.2, 0.2)), Observation('A dark street')
    rendered = prompt.render_pair([a], [b], [Observation('B is sharper')], ('infrared', 'visible'))
    head, of_a, of_b, of_both = re.split(r'About (?:image A|image B|both):', rendered.text)
    assert '"infrared"' in head and '"visible"' in head
    assert '- A warm car [upper left]' in of_a and '- A dark street' in of_b and '- B is sharper' in of_both
    assert [seen.modality for seen in rendered.observations] == ['infrared', 'visible', None]
    assert rendered.modality == 'infrared and visible'
    assert '(nothing)' in prompt.render_pair([a], [b], [], ('', '')).text


@pytest.mark.parametrize('name', ['questions', 'perception', 'objects', 'degradations'])
def test_a_schema_goes_with_the_prompt(name):
    prompt = load_prompt(name)
    seen = [Observation('A street')]
    rendered = (prompt.render_pair(seen, seen, [], ('infrared', 'visible')) if prompt.of_pair
                else prompt.render(seen, 'visible'))
    assert rendered.schema == prompt.schema
    schema_check(prompt.schema)
    asked = set(prompt.schema['properties'])
    assert asked and all(re.search(rf'\b{key}\b', prompt.body) for key in asked), 'the prompt names what is wanted'


def test_a_prompt_of_ones_own(tmp_path):
    path = tmp_path / 'mine.v3.md'
    with pytest.raises(ConfigError, match='cannot be read'):
        load_prompt(str(path))
    path.write_text('What is $modality? $observations')
    prompt = load_prompt(str(path))
    assert (prompt.id, prompt.schema) == ('mine@3', None)
    (tmp_path / 'mine.v3.json').write_text('{"type": "object"}')
    structured = load_prompt(str(path))
    assert structured.schema == {'type': 'object'} and structured.sha256 != prompt.sha256
    (tmp_path / 'mine.v3.json').write_text('{')
    with pytest.raises(ConfigError, match='cannot be read'):
        load_prompt(str(path))
    (tmp_path / 'mine.md').write_text('')
    with pytest.raises(ConfigError, match='mine.v1.md'):
        load_prompt(str(tmp_path / 'mine.md'))


@pytest.mark.parametrize(('body', 'named'), [
    ('$modality $colour', 'colour'), ('$modality_a $observations_b $colour', 'colour'), ('costs $ 5', r'a stray \$')])
def test_placeholders_that_cannot_be_filled(body, named):
    with pytest.raises(ConfigError, match=f'holds {named}'):
        PromptTemplate('bad', 1, body)


def test_a_rendered_prompt_names_places_and_no_coordinates():
    seen = [Observation('A street'), Observation('a $5 sign', box=(0.05, 0.7, 0.31, 0.93), area=0.04, score=0.87)]
    prompt = load_prompt('paragraph@1').render(seen, 'visible')
    assert '- A street\n- a $5 sign [lower left, a small part of the image]\n' in prompt.text
    assert 'the modality "visible"' in prompt.text
    assert not re.search(r'0\.\d|\$(modality|observations)', prompt.text)
    assert (prompt.observations, prompt.modality) == (tuple(seen), 'visible')
