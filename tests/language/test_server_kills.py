"""Runs that are killed while an LLM server answers: what is kept, and what the server is asked again."""

import hashlib
import json
import random
import time
from collections import defaultdict

import numpy as np
import pytest
from language.llms.conftest import ScriptedServer, chat_answer
from language.running import Run, ShortEncoder, draw, register, sha256

from vlfusion.imaging.images import read_image
from vlfusion.language.pipeline import DescriptionPipeline
from vlfusion.language.store import STAGES, TextStore
from vlfusion.registry import snapshot

KILLS, RECORDS, CONCURRENCY = 20, 200, 4


@pytest.fixture
def server():
    """Answers with the hash of the prompt, so that an answer tells what was asked."""
    pytest.importorskip('openai', reason="pip install 'vlfusion[openai]'")

    def script(number, body):
        time.sleep(0.01)
        return 200, chat_answer(sha256(body['messages'][-1]['content']))

    server = ScriptedServer(script)
    yield server
    server.stop()


@pytest.fixture
def start(server, tmp_path, monkeypatch):
    """Starts a process that describes the images; its number is the key that it sends to the server."""
    undo = snapshot()
    register()
    monkeypatch.setenv('RUN', 'here')
    language = dict(store=str(tmp_path / 'text'), captioners=[dict(type='NumberCaptioner')], prompt='paragraph',
                    llm=dict(type='OpenAILLM', model='m', base_url=server.url, api_key_env='RUN',
                             concurrency=CONCURRENCY),
                    encoder=dict(type='ShortEncoder'))
    images, runs = draw(tmp_path / 'images', RECORDS), []

    def start(number):
        runs.append(Run(language, images, RUN=f'run-{number}'))
        runs[-1].go()
        return runs[-1]

    start.language, start.images = language, images
    yield start
    for run in runs:
        run.kill()
    undo()


@pytest.mark.slow
def test_twenty_kills_with_a_server(server, start):
    store, chance = TextStore(start.language['store']), random.Random(0)
    finished = [set()]  # before each run, the answers in the store
    for number in range(KILLS):
        run = start(number)
        _wait(server, requests=chance.randrange(40), seconds=chance.uniform(0.05, 1.))
        assert run.process.is_alive() or number > KILLS // 2, 'it was to be killed at work'
        run.kill()
        finished.append({record['text'] for record in _records(store, 'paragraphs').values()})
    assert start(KILLS).wait(60) == 0

    prompts, asked = {}, defaultdict(list)
    for body, headers in zip(server.bodies, server.headers, strict=True):
        prompt = body['messages'][-1]['content']
        prompts[sha256(prompt)] = prompt
        asked[int(headers['authorization'].removeprefix('Bearer run-'))].append(sha256(prompt))
    for number, hashes in asked.items():
        assert len(hashes) == len(set(hashes)), 'one run asked twice'
        assert not finished[number] & set(hashes), 'a finished record was asked for'
        if number < KILLS:
            assert len(set(hashes) - finished[number + 1]) <= CONCURRENCY, 'more was lost than was in flight'
    assert len(prompts) == RECORDS and len(asked) > KILLS // 4, 'the kills came while the server was at work'

    for stage in STAGES:
        assert len(_records(store, stage)) == RECORDS
    assert {record['text'] for record in _records(store, 'paragraphs').values()} == prompts.keys()
    for key, record in _records(store, 'features').items():
        np.testing.assert_array_equal(store.features(key), ShortEncoder().encode([record['text']]).features[0])
    pipeline = DescriptionPipeline(start.language)
    for image in start.images:
        number = hashlib.sha256(read_image(image.path).tobytes()).hexdigest()
        assert number in prompts[pipeline.paragraph(image)], 'each image has its own paragraph'


def _wait(server, requests, seconds):
    """Until the server has had so many more requests, at most so many seconds."""
    until, enough = time.monotonic() + seconds, len(server.bodies) + requests
    while len(server.bodies) < enough and time.monotonic() < until:
        time.sleep(0.001)


def _records(store, stage):
    """Every record by its key; one that was cut would not be JSON."""
    return {path.stem: json.loads(path.read_bytes()) for path in store.root.glob(f'{stage}/*/*.json')}
