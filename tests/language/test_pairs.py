"""Descriptions of pairs: what is kept, what is shared with single images, and what training reads."""

from pathlib import Path

import numpy as np
import pytest

from vlfusion.data.pairs import Pair
from vlfusion.data.text import StoredText
from vlfusion.errors import ConfigError
from vlfusion.language.interfaces import Observation
from vlfusion.language.pipeline import DescriptionPipeline
from vlfusion.language.subjects import PairToDescribe, content_of
from vlfusion.registry import CAPTIONERS, snapshot


class BrighterCaptioner:
    """Says which image of a pair is brighter."""

    version, images = '1', 2
    calls = []

    def observe(self, scenes, modalities):
        self.calls.append((len(scenes), modalities))
        return [[Observation(f'The {modalities[int(b.mean() > a.mean())]} image is brighter')] for a, b in scenes]


@pytest.fixture(autouse=True)
def registered():
    undo = snapshot()
    CAPTIONERS.register_module(module=BrighterCaptioner)
    BrighterCaptioner.calls.clear()
    yield
    undo()


@pytest.fixture
def pairs(images):
    """Two pairs that share source B."""
    return [Pair(name, images[index].path, images[3].path, 'PET', 'MRI') for name, index in (('p', 0), ('q', 2))]


@pytest.fixture
def build(language, encoder):
    def build(**changes):
        pipeline = DescriptionPipeline(language | {'prompt': 'pair'} | changes)
        pipeline.encoder = encoder
        return pipeline
    return build


def test_a_pair_has_one_paragraph_from_both_images(build, pairs):
    pipeline = build()
    subjects = pipeline.subjects([*pairs, pairs[0]])
    assert len(subjects) == 2 and isinstance(subjects[0], PairToDescribe)
    assert pipeline.plan(subjects).missing == {'observations': 3, 'paragraphs': 2, 'features': 2}, 'B is seen once'
    assert set(pipeline.run(subjects).done) == set(subjects)
    text = pipeline.paragraph(subjects[0])
    assert text.startswith('In the PET image: ') and ' In the MRI image: ' in text
    record = pipeline.store.read('features', pipeline.keys.feature(*content_of(subjects[0])))
    assert [image['modality'] for image in record['images']] == ['PET', 'MRI']
    assert len(record['keys']['observations']) == 2
    assert build().run(subjects).skipped == subjects
    swapped = Pair('s', pairs[0].path_b, pairs[0].path_a, 'MRI', 'PET')
    [subject] = pipeline.subjects([swapped])
    assert not pipeline.store.has('features', pipeline.keys.feature(*content_of(subject))), 'A is not B'


def test_what_is_seen_in_one_image_serves_both_kinds_of_prompt(build, pairs):
    alone = build(prompt='paragraph')
    images = alone.subjects(pairs)
    assert len(images) == 3
    alone.run(images)
    pipeline = build()
    assert pipeline.plan(pipeline.subjects(pairs)).missing['observations'] == 0


def test_a_captioner_of_pairs_sees_both_at_once(build, pairs):
    captioners = [dict(type='MeasuredCaptioner'), dict(type='BrighterCaptioner')]
    pipeline = build(captioners=captioners)
    subjects = pipeline.subjects(pairs)
    assert pipeline.plan(subjects).missing == {'observations': 5, 'paragraphs': 2, 'features': 2}
    pipeline.run(subjects)
    assert BrighterCaptioner.calls == [(2, ('PET', 'MRI'))]
    assert pipeline.paragraph(subjects[0]).endswith(' The MRI image is brighter.')
    alone = build(captioners=captioners[1:])
    assert not alone.run(subjects).failed
    assert alone.paragraph(subjects[0]) == 'The MRI image is brighter.'
    with pytest.raises(ConfigError, match='sees pairs, but the prompt paragraph@1 is about one image'):
        build(captioners=captioners, prompt='paragraph').run(subjects[0].images)


def test_training_reads_the_paragraph_of_the_pair(build, pairs, language, encoder):
    pipeline = build()
    pipeline.run(pipeline.subjects(pairs))
    source = StoredText(language | {'prompt': 'pair'})
    expected = encoder.encode([pipeline.paragraph(pipeline.subjects(pairs)[0])]).features[0].numpy()
    np.testing.assert_allclose(source.load(pairs[0]), expected, atol=1e-5)
    assert StoredText(language | {'prompt': 'pair'}, join=dict(type='mean')).load(pairs[0]).shape == (1, 384)
    with pytest.raises(ConfigError, match="no stream 'source_a/paragraph'"):
        StoredText(language | {'prompt': 'pair'}, stream='source_a/paragraph')


def test_one_bad_image_fails_its_pairs_alone(build, pairs, tmp_path):
    cut = tmp_path / 'cut.png'
    cut.write_bytes(pairs[0].path_a.read_bytes()[:40])
    pipeline = build()
    bad = pipeline.subjects([Pair('bad', cut, pairs[0].path_b, 'PET', 'MRI')])
    report = pipeline.run([*pipeline.subjects(pairs), *bad])
    assert list(report.failed) == bad and 'cut.png' in report.failures() and len(report.done) == 2


def test_images_and_pairs_are_not_mistaken_for_each_other(build, pairs):
    pipeline = build()
    with pytest.raises(ConfigError, match='pair@1 is about a pair'):
        pipeline.run(pipeline.subjects(pairs)[0].images)
    with pytest.raises(ConfigError, match='paragraph@1 is about one image'):
        build(prompt='paragraph').run(pipeline.subjects(pairs))
    assert str(pipeline.subjects(pairs)[0]).count(' with ') == 1 and isinstance(pairs[0].path_a, Path)


@pytest.mark.parametrize('modalities', [('MRI', 'MRI'), ('', '')])
def test_images_of_one_modality_are_told_apart(build, pairs, modalities):
    pipeline = build()
    subject, = pipeline.subjects([Pair('p', pairs[0].path_a, pairs[0].path_b, *modalities)])
    pipeline.run([subject])
    kind = f' {modalities[0]}'.rstrip()
    assert f'In the first{kind} image: ' in pipeline.paragraph(subject)
    assert f'In the second{kind} image: ' in pipeline.paragraph(subject)
