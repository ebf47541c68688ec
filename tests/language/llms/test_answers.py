"""Answers of captioners become the JSON that a prompt of questions asks for."""

import json

import pytest

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.answers.structure import schema_check
from vlfusion.language.interfaces import Observation
from vlfusion.language.llms import AnswersLLM
from vlfusion.language.prompt import load_prompt

ANSWERS = ['A car.', 'The road "ahead".', 'At the lamps.', 'A street at night.']


def complete(name, answers):
    return AnswersLLM().complete([load_prompt(name).render([Observation(text) for text in answers], 'visible')])


def test_each_observation_answers_a_question_in_order():
    [completion] = complete('perception', ANSWERS)
    assert json.loads(completion.text) == dict(zip(('targets', 'regions', 'contrast', 'description'), ANSWERS,
                                                   strict=True))
    assert schema_check(load_prompt('perception').schema)(completion.text) is None


def test_what_does_not_fit_is_said():
    with pytest.raises(DataError, match=r'4 questions, but the captioners made 3.*\n.*targets, regions, contrast'):
        complete('perception', ANSWERS[:3])
    with pytest.raises(ConfigError, match='asks no questions'):
        complete('paragraph', ANSWERS)
