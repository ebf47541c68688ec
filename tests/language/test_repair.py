"""Damaged records: `describe` makes them again from what is intact, and nothing else."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from language.running import LoggingLLM, ShortEncoder, draw, register

from vlfusion.language.fixed import encode_fixed, missing_fixed
from vlfusion.language.interfaces import Completion
from vlfusion.language.keys import Keys
from vlfusion.language.pipeline import DescriptionPipeline
from vlfusion.language.store import STAGES, TextStore
from vlfusion.language.subjects import content_of
from vlfusion.registry import LLMS, snapshot


class OddLLM(LoggingLLM):
    """Answers the second image with what it was built with, whatever that is."""

    def __init__(self, answer):
        self.answer = answer

    def complete(self, prompts):
        return [Completion(self.answer if index == 1 else 'A wall and a road.', 'odd', 1, 1, 'stop', 0., None)
                for index, _ in enumerate(prompts)]


@pytest.fixture(scope='module', autouse=True)
def registered():
    undo = snapshot()
    register()
    LLMS.register_module(module=OddLLM)
    yield
    undo()


@pytest.fixture(scope='module')
def described(tmp_path_factory):
    """A folder with three images, and the section by which they were described once."""
    folder = tmp_path_factory.mktemp('described')
    section = dict(store=str(folder / 'text'), captioners=[dict(type='NumberCaptioner')], prompt='paragraph',
                   llm=dict(type='LoggingLLM', log=str(folder / 'log')), encoder=dict(type='ShortEncoder'))
    images = draw(folder / 'images', 3)
    assert len(DescriptionPipeline(section).run(images).done) == 3
    return section, images


@pytest.fixture
def images(described):
    return described[1]


@pytest.fixture
def section(described, tmp_path):
    """The section with an empty store of one's own."""
    return described[0] | {'store': str(tmp_path / 'text')}


@pytest.fixture
def store(described, section):
    """A store in which every image is described."""
    shutil.copytree(described[0]['store'], section['store'])
    return TextStore(section['store'])


def paths(section, store, image):
    """The files of an image's records by stage."""
    keys, content = Keys(section), content_of(image)
    return dict(zip(STAGES, (store.path(stage, key) for stage, key in zip(STAGES, (
        keys.observation(*content), keys.paragraph(*content), keys.feature(*content)), strict=True)), strict=True))


DAMAGES = {
    'cut': lambda path: path.write_bytes(path.read_bytes()[:-20]), 'empty': lambda path: path.write_bytes(b''),
    'a list': lambda path: path.write_text('[1]'), 'deep': lambda path: path.write_text('{"text": ' * 100_000),
    'wrong types': lambda path: path.write_text(
        '{"text": 3, "observations": 3, "tokens": "x"}'), 'bytes': lambda path: path.write_bytes(b'\xff\xfe\x00')}


@pytest.mark.parametrize('damage', DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize('stage', STAGES)
def test_a_damaged_record_is_made_anew(images, section, store, stage, damage):
    path = paths(section, store, images[1])[stage]
    before = {file: file.read_bytes() for file in store.root.rglob('*') if file.suffix in ('.json', '.npy')}
    damage(path)
    report = DescriptionPipeline(section).run(images)
    assert report.done == report.repaired == [images[1]] and len(report.skipped) == 2
    changed = {file for file, data in before.items() if file.read_bytes() != data}
    assert changed <= {path, path.with_suffix('.npy')} and store.is_intact(stage, path.stem)
    assert DescriptionPipeline(section).run(images).skipped == images


@pytest.mark.parametrize('damage', ['cut', 'gone', 'NaN', 'other shape'])
def test_damaged_features_are_made_anew_from_the_paragraph(images, section, store, damage):
    path = paths(section, store, images[0])['features'].with_suffix('.npy')
    right = np.load(path)
    if damage == 'cut':
        path.write_bytes(path.read_bytes()[:-7])
    elif damage == 'gone':
        path.unlink()
    else:
        np.save(path, np.full_like(right, np.nan) if damage == 'NaN' else right[:2])
    log = Path(section['llm']['log'])
    asked = log.read_text()
    pipeline = DescriptionPipeline(section)
    assert pipeline.plan(images).missing == {'observations': 0, 'paragraphs': 0, 'features': 1}
    assert pipeline.run(images).repaired == images[:1]
    np.testing.assert_array_equal(np.load(path), right)
    assert log.read_text() == asked, 'no LLM is asked for what a paragraph says'


@pytest.mark.parametrize('stage', ['observations', 'paragraphs'])
def test_a_record_that_says_nothing_is_made_anew(images, section, store, stage):
    paths(section, store, images[0])[stage].write_text('{}')
    assert DescriptionPipeline(section).run(images).repaired == images[:1]


def test_features_by_hand_need_no_text(images, section, store):
    paths(section, store, images[0])['features'].write_text('{}')
    assert DescriptionPipeline(section).run(images).skipped == images


def test_features_follow_a_paragraph_that_was_written_anew(images, section, store, monkeypatch):
    monkeypatch.setattr(LoggingLLM, 'complete', lambda self, prompts: [
        Completion('Another text.', 'm', 1, 1, 'stop', 0., None) for _ in prompts])
    files = paths(section, store, images[0])
    files['paragraphs'].write_text('{"text": ')
    assert DescriptionPipeline(section).run(images).repaired == images[:1]
    np.testing.assert_array_equal(np.load(files['features'].with_suffix('.npy')),
                                  ShortEncoder().encode(['Another text.']).features[0])


def test_a_record_lost_on_the_way_is_not_asked_for_again(images, section, store):
    for stage in ('observations', 'paragraphs'):
        paths(section, store, images[0])[stage].unlink()
    pipeline = DescriptionPipeline(section)
    assert pipeline.run(images).skipped == images
    assert pipeline.paragraph(images[0]).startswith('It is number'), 'its features keep it too'


def test_a_fixed_text_is_encoded_anew(section):
    encode_fixed(section, ['Fuse them.'])
    assert missing_fixed(section, ['Fuse them.']) == []
    path = next((DescriptionPipeline(section).store.root / 'features').rglob('*.npy'))
    path.write_bytes(b'')
    assert encode_fixed(section, ['Fuse them.']) == ['Fuse them.']
    assert missing_fixed(section, ['Fuse them.']) == []


@pytest.mark.slow
@pytest.mark.parametrize(('answer', 'said'), [
    ('A \ud83d wall.', ''), ("I'm sorry, but I can't help.", 'refused'), ('<think>Hm.</think>', 'only its reasoning'),
    ('<think>Hm.</think>A \x1b[31mred wall.', ''), ('', 'empty answer'), ('[' * 200_000, '')])
def test_no_answer_ends_a_run(images, section, answer, said):
    pipeline = DescriptionPipeline(section | {'llm': dict(type='OddLLM', answer=answer)})
    report = pipeline.run(images)
    assert list(report.failed) == (images[1:2] if said else []) and len(report.done) == (2 if said else 3)
    assert said in report.failures()
    if said:
        [failure] = (pipeline.store.root / 'failures').rglob('*.json')
        assert said in json.loads(failure.read_text())['error']
    elif len(answer) < 100:
        assert pipeline.paragraph(images[1]) in ('A \ufffd wall.', 'A red wall.')
