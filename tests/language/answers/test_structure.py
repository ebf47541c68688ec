"""Structured answers, from a prompt's schema to rows of features."""

import json
import re
from dataclasses import replace

import pytest

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.answers.structure import fitting, parse, schema_check, texts
from vlfusion.language.interfaces import Completion
from vlfusion.language.llms import TemplateLLM
from vlfusion.language.pipeline import DescriptionPipeline
from vlfusion.language.prompt import load_prompt
from vlfusion.language.subjects import content_of
from vlfusion.registry import LLMS, snapshot

GOOD = '{"things": "A car.", "light": "The sky is bright.", "detail": "unknown", "particular": "Heat."}'


class ScriptedLLM:
    """Answers from a list, and remembers what it was asked."""

    version = '1'

    def __init__(self, answers):
        self.answers, self.asked = list(answers), []

    def complete(self, prompts):
        self.asked += prompts
        return [Completion(self.answers.pop(0), 'scripted', 10, 5, 'stop', 1., 0.25) for _ in prompts]


@pytest.fixture(autouse=True)
def registered():
    undo = snapshot()
    LLMS.register_module(module=ScriptedLLM)
    yield
    undo()


@pytest.mark.parametrize(('text', 'fault'), [
    (GOOD, None), (f'```json\n{GOOD}\n```', None), ('The car is red.', 'is not JSON'),
    (GOOD.replace('"A car."', '""'), 'should be non-empty'), (GOOD.replace('light', 'dark'), 'light'),
    (GOOD.replace('"unknown"', '3'), 'not of type .string'), (f'[{GOOD}]', 'not of type .object')])
def test_faults_are_named(text, fault):
    found = schema_check(load_prompt('questions').schema)(text)
    assert found is None if fault is None else re.search(fault, found)


def test_a_schema_that_is_none():
    with pytest.raises(ConfigError, match='no valid JSON schema'):
        schema_check({'type': 'thing'})


def test_texts_follow_the_answer():
    assert texts(parse(GOOD)) == ['A car.', 'The sky is bright.', 'unknown', 'Heat.']
    answer = {'scene': 'A street', 'objects': [{'name': 'car', 'place': 'left', 'parts': ['wheel', 'door']}, 'tree']}
    assert texts(answer) == ['A street', 'car, left, wheel, door', 'tree']
    assert texts({'none': None, 'empty': ' ', 'number': 3, 'objects': []}) == ['3']
    assert texts([{'name': '', 'place': 'left'}]) == ['left']


def test_an_answer_takes_the_order_of_its_schema(images, language, encoder):
    swapped = json.dumps(dict(reversed(json.loads(GOOD).items())))
    pipeline = DescriptionPipeline(language | dict(prompt='questions', llm=dict(type='ScriptedLLM', answers=[swapped])))
    pipeline.encoder = encoder
    assert not pipeline.run(images[:1]).failed
    record = pipeline.store.read('paragraphs', pipeline.keys.paragraph(*content_of(images[0])))
    assert record['text'] == swapped and record['texts'] == ['A car.', 'The sky is bright.', 'unknown', 'Heat.']


def test_an_answer_is_encoded_text_by_text(images, language, encoder):
    pipeline = DescriptionPipeline(language | {'prompt': 'questions', 'llm': dict(type='ScriptedLLM', answers=[GOOD])})
    pipeline.encoder = encoder
    assert not pipeline.run(images[:1]).failed
    record = pipeline.store.read('paragraphs', pipeline.keys.paragraph(*content_of(images[0])))
    assert record['text'] == GOOD and record['texts'][1] == 'The sky is bright.'
    features = pipeline.store.features(pipeline.keys.feature(*content_of(images[0])))
    counts = encoder.encode(record['texts']).mask.sum(1).tolist()
    assert len(features) == sum(counts)
    alone = encoder.encode(['The sky is bright.']).features[0].numpy()
    assert features[counts[0]:counts[0] + counts[1]] == pytest.approx(alone, abs=1e-5)


def test_a_misfit_gets_one_more_chance(images, language, encoder):
    answers = ['no JSON', GOOD, '{}', '{"things": 1}', GOOD]  # of three images, then of the two that did not fit
    pipeline = DescriptionPipeline(language | {'prompt': 'questions', 'llm': dict(type='ScriptedLLM', answers=answers)})
    pipeline.encoder = encoder
    same = [replace(image, modality='MRI') for image in images[:3]]
    report = pipeline.run(same)
    assert list(report.failed) == [same[0]] and len(report.done) == 2
    assert isinstance(error := report.failed[same[0]], DataError) and 'two answers that do not fit' in str(error)
    again = pipeline.llm.asked[3:]
    assert [prompt.text.startswith(pipeline.llm.asked[index].text) for prompt, index in
            zip(again, (0, 2), strict=True)] == [True, True]
    assert 'no JSON' in again[0].text and 'is not JSON' in again[0].text and "'things' is a required" in again[1].text
    assert pipeline.usage.prompt_tokens == 50 and pipeline.usage.cost == pytest.approx(1.25)


def test_a_template_cannot_answer_questions(images, language):
    pipeline = DescriptionPipeline(language | {'prompt': 'questions'})
    with pytest.raises(ConfigError, match='TemplateLLM writes paragraphs'):
        pipeline.run(images)
    assert isinstance(pipeline.llm, TemplateLLM)


def test_where_asking_again_fails_the_good_answers_stay(images, language, encoder, monkeypatch):
    class Short(ScriptedLLM):
        def complete(self, prompts):
            if any('no JSON' in prompt.text for prompt in prompts):
                self.asked += prompts
                raise DataError('The prompt is longer than the context.', '')
            return super().complete(prompts)

    LLMS.register_module(module=Short)
    pipeline = DescriptionPipeline(language | {'prompt': 'questions', 'llm': dict(
        type='Short', answers=[GOOD, 'no JSON', GOOD])})
    pipeline.encoder = encoder
    same = [replace(image, modality='MRI') for image in images[:3]]
    report = pipeline.run(same)
    assert list(report.failed) == [same[1]] and 'longer than the context' in report.failures()
    assert len(pipeline.llm.asked) == 4 and pipeline.usage.prompt_tokens == 30


def test_an_answer_without_words_is_a_failure(images, language, encoder, tmp_path):
    (tmp_path / 'free.v1.md').write_text('$modality $observations')
    (tmp_path / 'free.v1.json').write_text('{"type": "object"}')
    pipeline = DescriptionPipeline(language | {'prompt': str(tmp_path / 'free.v1.md'), 'llm': dict(
        type='ScriptedLLM', answers=['{"objects": [], "scene": " "}', '{"scene": "A street"}'])})
    pipeline.encoder = encoder
    assert 'answered without any words' in pipeline.run(images[:1]).failures()
    assert pipeline.run(images[:1]).done == images[:1], 'it was tried again'


@pytest.mark.parametrize('answer', [json.dumps(GOOD), GOOD.replace('A car.', 'A\ncar.')], ids=['string', 'line break'])
def test_json_in_a_string_or_with_line_breaks_is_found(answer):
    found = fitting(answer, schema_check({'type': 'object', 'required': ['things']}))
    assert texts(json.loads(found))[0].split() == ['A', 'car.']
