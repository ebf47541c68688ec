"""Runs of the pipeline: LLMs that stream, failures, stopping, several processes, kills."""

import json
import os
import random
import signal
import time
from multiprocessing import get_context
from threading import Event

import pytest
import torch
from language.running import ManyAtOnceLLM, NumberCaptioner, Run, draw, register, sha256

from vlfusion.errors import DataError
from vlfusion.imaging.images import read_image
from vlfusion.language.interfaces import Completion, StreamingLLM
from vlfusion.language.llms import TemplateLLM
from vlfusion.language.pipeline import DescriptionPipeline, ImageToDescribe
from vlfusion.language.store import STAGES
from vlfusion.language.subjects import content_of
from vlfusion.registry import snapshot

forked = get_context('fork')


@pytest.fixture(autouse=True)
def registered():
    undo = snapshot()
    register()
    yield
    undo()


@pytest.fixture
def language(tmp_path):
    return dict(store=str(tmp_path / 'text'), captioners=[dict(type='NumberCaptioner')],
                llm=dict(type='ManyAtOnceLLM', log=str(tmp_path / 'calls')), prompt='paragraph',
                encoder=dict(type='ShortEncoder'))


def calls(language):
    return open(language['llm']['log']).read().split() if os.path.exists(language['llm']['log']) else []


def records(language, stage):
    return [path for path in DescriptionPipeline(language).store.root.glob(f'{stage}/*/*.json')]


@pytest.mark.slow
def test_an_llm_that_streams_is_asked_once_each(tmp_path, language):
    images = draw(tmp_path / 'images', 9)
    pipeline = DescriptionPipeline(language)
    assert isinstance(pipeline.llm, StreamingLLM) and not isinstance(TemplateLLM(), StreamingLLM)
    assert len(pipeline.run(images).done) == 9
    assert len(calls(language)) == 9
    for image in images:
        other = DescriptionPipeline(language | {'llm': {'type': 'TemplateLLM'}, 'store': str(tmp_path / 'other')})
        other.run([image])
        assert pipeline.paragraph(image) == other.paragraph(image), 'answers do not change places'


def test_a_failure_of_one_prompt_costs_no_other_a_second_call(tmp_path, language):
    language['llm']['bad'] = 'PET'
    images = draw(tmp_path / 'images', 6)
    images[2] = ImageToDescribe(images[2].path, 'PET')
    report = DescriptionPipeline(language).run(images)
    assert list(report.failed) == [images[2]] and len(report.done) == 5
    assert len(calls(language)) == 5


def test_a_failure_is_kept_with_its_error_until_it_succeeds(tmp_path, language):
    images = draw(tmp_path / 'images', 3)
    images[1] = ImageToDescribe(images[1].path, 'PET')
    DescriptionPipeline(language | {'llm': language['llm'] | {'bad': 'PET'}}).run(images)
    path, = records(language, 'failures')
    record = json.loads(path.read_text())
    assert record['stage'] == 'paragraphs' and 'refused' in record['error'] and record['kind'] == 'DataError'
    assert record['images'][0]['file'] == images[1].path.name
    again = DescriptionPipeline(language | {'llm': language['llm'] | {'bad': 'PET'}})
    again.llm.bad = ''
    assert again.run(images).done == [images[1]]
    assert not records(language, 'failures')


def test_a_run_that_is_asked_to_stop_finishes_what_has_begun(tmp_path, language):
    images = draw(tmp_path / 'images', 12)
    stop = Event()

    def progress(stage, through, total):
        if stage == 'paragraphs' and through == 2:
            stop.set()

    report = DescriptionPipeline(language).run(images, progress, stop)
    assert len(report.left) == 12 and not report.done and not report.failed
    made = len(records(language, 'paragraphs'))
    assert 2 <= made <= 2 + language['llm'].get('concurrency', 4)
    assert len(calls(language)) == made, 'what was asked for is kept'
    assert not list((tmp_path / 'text/claims').iterdir())
    assert len(DescriptionPipeline(language).run(images).done) == 12
    assert len(calls(language)) == 12


def test_a_plan_says_what_is_missing(tmp_path, language):
    images = draw(tmp_path / 'images', 5)
    language['llm'] = dict(type='TemplateLLM')
    priced = language | {'llm': dict(type='OpenAILLM', model='m', price_prompt=1000., price_completion=2000.)}
    plan = DescriptionPipeline(priced).plan(images)
    assert plan.missing == {'observations': 5, 'paragraphs': 5, 'features': 5} and plan.subjects == 5
    assert plan.cost == pytest.approx((plan.prompt_tokens * 1000 + plan.completion_tokens * 2000) / 1e6)
    assert not (tmp_path / 'text').exists()
    DescriptionPipeline(language).run(images[:2])
    plan = DescriptionPipeline(language).plan(images)
    assert plan.missing == {'observations': 3, 'paragraphs': 3, 'features': 3} and plan.cost is None
    DescriptionPipeline(language).run(images)
    plan = DescriptionPipeline(language).plan(images)
    assert not any(plan.missing.values()) and plan.prompt_tokens == 0


def describe(language, images):
    torch.set_num_threads(1)
    DescriptionPipeline(language).run(images)


@pytest.mark.slow
def test_two_processes_fill_one_store_and_do_nothing_twice(tmp_path, language):
    images = draw(tmp_path / 'images', 60)
    language['llm'] |= dict(seconds=0.05)
    others = [Run(language, images) for _ in range(2)]
    for other in others:
        other.go()
    assert [other.wait(90) for other in others] == [0, 0]
    assert len(records(language, 'features')) == 60
    assert len(calls(language)) == len(set(calls(language))) == 60
    assert not list((tmp_path / 'text/claims').iterdir())


@pytest.mark.slow
@pytest.mark.parametrize('llm', ['LoggingLLM', 'ManyAtOnceLLM'])
def test_twenty_kills_lose_nothing_but_what_was_in_flight(tmp_path, language, llm):
    images = draw(tmp_path / 'images', 200)
    language['llm'] = dict(type=llm, log=str(tmp_path / 'calls'), seconds=0.002)
    chance = random.Random(0)
    for _ in range(20):
        before, finished = len(calls(language)), {path.stem for path in records(language, 'paragraphs')}
        process = forked.Process(target=describe, args=(language, images))
        process.start()
        time.sleep(chance.uniform(0.02, 0.12))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        asked_now = set(calls(language)[before:])
        assert not asked_now & finished_prompts(language, images, finished), 'a finished record was asked for again'
    report = DescriptionPipeline(language).run(images)
    assert not report.failed and len(report.done) + len(report.skipped) == 200
    pipeline = DescriptionPipeline(language)
    for stage in STAGES:
        assert len(records(language, stage)) == 200
    for image in images:
        assert pipeline.paragraph(image)
        assert pipeline.store.features(pipeline.keys.feature(*content_of(image))).shape == (4, 8)


def finished_prompts(language, images, finished):
    """The hashes of the prompts whose paragraphs were in the store."""
    pipeline = DescriptionPipeline(language)
    written = [image for image in images if pipeline.keys.paragraph(*content_of(image)) in finished]
    return {sha256(pipeline.prompt_of(image).text) for image in written}


def test_an_empty_answer_is_a_failure_and_counts(tmp_path, language, monkeypatch):
    images = draw(tmp_path / 'images', 2)
    monkeypatch.setattr(ManyAtOnceLLM, '_answer', lambda self, prompt: Completion(
        ' ', 'mute', prompt_tokens=7, completion_tokens=0, finish_reason='stop', seconds=0., cost=0.5))
    pipeline = DescriptionPipeline(language)
    report = pipeline.run(images)
    assert len(report.failed) == 2 and 'mute wrote nothing' in str(report.failed[images[0]])
    assert (pipeline.usage.prompt_tokens, pipeline.usage.cost) == (14, 1.0)


def test_a_failing_captioner_has_no_image_shown_again_to_the_others(tmp_path, language):
    images, shown = draw(tmp_path / 'images', 5), []
    bad = read_image(images[3].path).tobytes()
    pipeline = DescriptionPipeline(language | {'captioners': [dict(type='NumberCaptioner')] * 2})

    class Paid(NumberCaptioner):
        def observe(self, scenes, modalities):
            shown.extend(image.tobytes() for image, in scenes)
            return [DataError('refused', '') if image.tobytes() == bad else observations
                    for (image,), observations in zip(scenes, super().observe(scenes, modalities), strict=True)]

    class Strict(NumberCaptioner):
        def observe(self, scenes, modalities):
            if any(image.tobytes() == bad for image, in scenes):
                raise ValueError('broken')
            return super().observe(scenes, modalities)

    pipeline.captioners = [Paid(), Strict()]
    report = pipeline.run(images)
    assert list(report.failed) == [images[3]] and 'refused' in str(report.failed[images[3]])
    assert len(shown) == len(set(shown)) == 5
    expected = NumberCaptioner().observe([(read_image(images[0].path),)], ('',))[0][0].text
    assert [seen.text for seen in pipeline.prompt_of(images[0]).observations] == [expected] * 2
