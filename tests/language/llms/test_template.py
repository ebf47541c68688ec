"""The template writes every observation into few sentences."""

import re

import pytest

from vlfusion.errors import DataError
from vlfusion.language.interfaces import Observation, Prompt
from vlfusion.language.llms import TemplateLLM


def paragraph(*observations: Observation) -> str:
    return TemplateLLM().complete([Prompt('', observations, 'visible')])[0].text


def sentences(text: str) -> list[str]:
    return re.split(r'(?<=[.!?])\s+', text)


@pytest.mark.parametrize('count', [1, 6, 7, 8, 13, 40])
def test_at_most_seven_sentences_with_every_observation_in_order(count):
    words = ['word' + 'abcdefgh'[index // 8] + 'abcdefgh'[index % 8] for index in range(count)]
    text = paragraph(*(Observation(f'There is a {word}.') for word in words))
    assert len(sentences(text)) == min(count, 7)
    assert re.findall(r'word\w\w', text) == words


def test_sentences_within_one_observation_count():
    text = paragraph(Observation('A dog runs. A cat sleeps! Why?'), *map(Observation, 'abcdefg'))
    assert len(sentences(text)) == 7


def test_digits_are_spelled():
    text = paragraph(Observation('2 dogs in a T2-weighted image at [12, 40]'))
    assert not re.search(r'\d', text)
    assert text == 'Two dogs in a T two-weighted image at [one two, four zero].'


def test_parts_follow_the_whole_and_say_where_they_are():
    text = paragraph(Observation('a red car', box=(0.7, 0.7, 0.9, 0.9)), Observation('A street at night.'))
    assert text == 'A street at night. A red car in the lower right.'


def test_a_place_already_named_is_not_repeated():
    assert paragraph(Observation('A lamp in the centre', box=(0.4, 0.4, 0.6, 0.6))) == 'A lamp in the centre.'


def test_the_same_words_are_said_once():
    assert paragraph(Observation('A tree.'), Observation('A tree')) == 'A tree.'


def test_acronyms_keep_their_capitals_after_a_semicolon():
    text = paragraph(*map(Observation, ['A', 'B', 'C', 'D', 'E', 'F', 'The end', 'MRI of a head']))
    assert text.endswith('The end; MRI of a head.')


def test_nothing_seen_is_an_error():
    with pytest.raises(DataError, match='No captioner observed anything'):
        paragraph()


def test_completion_costs_nothing_and_says_who_wrote_it():
    completion = TemplateLLM().complete([Prompt('', (Observation('A tree'),), 'visible')])[0]
    assert (completion.model, completion.cost, completion.finish_reason) == ('TemplateLLM 1', 0.0, 'stop')
