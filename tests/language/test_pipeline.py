"""Images become features, and a second run does what is missing."""

import shutil

import numpy as np
import pytest

from vlfusion.errors import ConfigError, DataError, UnknownNameError
from vlfusion.language import batches
from vlfusion.language.encoders import TransformersTextEncoder
from vlfusion.language.interfaces import Completion, Observation
from vlfusion.language.llms import TemplateLLM
from vlfusion.language.pipeline import DescriptionPipeline, ImageToDescribe
from vlfusion.language.subjects import content_of, image_digest
from vlfusion.registry import CAPTIONERS, LLMS, snapshot


@pytest.fixture
def build(encoder, monkeypatch):
    """Builds pipelines with the loaded encoder; `written` and `encoded` list what LLM and encoder were given."""
    def make(language):
        pipeline = DescriptionPipeline(language)
        pipeline.encoder = encoder
        return pipeline

    make.written, make.encoded = [], []
    complete, encode = TemplateLLM.complete, TransformersTextEncoder.encode
    monkeypatch.setattr(TemplateLLM, 'complete',
                        lambda self, prompts: make.written.extend(prompts) or complete(self, prompts))
    monkeypatch.setattr(TransformersTextEncoder, 'encode',
                        lambda self, texts: make.encoded.extend(texts) or encode(self, texts))
    return make


@pytest.fixture
def register():
    """Registers a class for one test."""
    undo = snapshot()
    yield lambda registry, cls: registry.register_module(module=cls)
    undo()


@pytest.mark.slow
def test_images_become_features(images, language, build, encoder):
    pipeline = build(language)
    report = pipeline.run(images)
    assert set(report.done) == set(images)
    assert not report.skipped and not report.failed
    for image in images:
        features = pipeline.store.features(pipeline.keys.feature(*content_of(image)))
        expected = encoder.encode([pipeline.paragraph(image)]).features[0]
        np.testing.assert_allclose(features, expected, atol=1e-5)
        assert f'of the {image.modality} kind' in pipeline.paragraph(image)


def test_a_second_run_does_what_is_missing_and_no_more(images, language, build):
    build(language).run(images[:3])
    assert (len(build.written), len(build.encoded)) == (3, 3)
    report = build(language).run(images)
    assert (report.done, len(report.skipped)) == ([images[3]], 3)
    assert (len(build.written), len(build.encoded)) == (4, 4)
    build(language).run(images)
    assert (len(build.written), len(build.encoded)) == (4, 4)


def test_a_run_that_was_stopped_keeps_what_it_had(images, language, build, monkeypatch):
    monkeypatch.setattr(batches, 'BATCH', 1)
    calls = []

    def stop(stage, through, total):
        calls.append((stage, through, total))
        if (stage, through) == ('paragraphs', 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(language).run(images, stop)
    assert calls == [('observations', n, 4) for n in range(5)] + [('paragraphs', n, 4) for n in range(3)]
    assert len(build.written) == 2
    assert len(build(language).run(images).done) == 4
    assert len(build.written) == 4


@pytest.mark.slow
def test_another_encoder_pays_for_no_llm_call(images, language, build):
    build(language).run(images)
    other = {**language, 'encoder': {**language['encoder'], 'revision': 'main'}}
    assert len(build(other).run(images).done) == 4
    assert (len(build.written), len(build.encoded)) == (4, 8)


def test_a_paragraph_needs_no_observations(images, language, build):
    """Text that people wrote can be put into the store as it is."""
    pipeline = build(language)
    key = pipeline.keys.paragraph(*content_of(images[0]))
    pipeline.store.write('paragraphs', key, {'text': 'Written by hand.'})
    pipeline.run(images[:1])
    assert build.encoded == ['Written by hand.'] and not build.written
    assert pipeline.paragraph(images[0]) == 'Written by hand.'


def test_the_same_content_is_described_once(images, language, build, tmp_path):
    twin = ImageToDescribe(tmp_path / 'twin.png', images[0].modality)
    shutil.copy(images[0].path, twin.path)
    other = ImageToDescribe(images[0].path, 'CT')
    report = build(language).run([images[0], twin, images[0], other])
    assert (report.done, report.skipped) == ([images[0], other], [twin, images[0]])
    assert len(build.encoded) == 2


def test_one_bad_image_does_not_stop_the_others(images, language, build, tmp_path):
    cut = ImageToDescribe(tmp_path / 'cut.png', 'MRI')
    cut.path.write_bytes(images[0].path.read_bytes()[:60])
    absent = ImageToDescribe(tmp_path / 'absent.png', 'MRI')
    report = build(language).run([cut, *images, absent])
    assert set(report.done) == set(images)
    assert report.failed.keys() == {cut, absent}
    assert 'cut.png' in str(report.failed[cut])
    with pytest.raises(DataError, match=r'2 of 6 images could not be described:(.|\n)*absent\.png'):
        report.raise_if_failed()


def test_a_text_too_long_for_the_encoder_fails_its_image_only(images, language, build, register):
    class Talkative:
        version, images = '1', 1

        def observe(self, scenes, modalities):
            return [[Observation('word ' * 600 if image.max() > 225 else 'A word.')] for image, in scenes]

    register(CAPTIONERS, Talkative)
    report = build({**language, 'captioners': [dict(type='Talkative')]}).run(images)
    assert report.failed.keys() == {images[3]} and len(report.done) == 3
    assert 'at most 512' in str(report.failed[images[3]])


def test_an_llm_that_says_nothing_fails_its_image(images, language, build, register):
    class Silent:
        version = '1'

        def complete(self, prompts):
            return [Completion(' ', 'silent', 1, 0, 'length', 0.0, None) for _ in prompts]

    register(LLMS, Silent)
    report = build({**language, 'llm': dict(type='Silent')}).run(images)
    assert len(report.failed) == 4
    assert "silent wrote nothing about this image (it ended with 'length')" in report.failures()


def test_any_exception_of_a_part_is_reported(images, language, build, register):
    class Broken:
        version, images = '1', 1

        def observe(self, scenes, modalities):
            raise RuntimeError('out of memory')

    register(CAPTIONERS, Broken)
    report = build({**language, 'captioners': [dict(type='Broken')]}).run(images)
    assert "RuntimeError('out of memory')" in report.failures()


def test_a_part_that_forgets_an_image_never_shifts_the_others(images, language, build, register):
    class Forgetful:
        version, images = '1', 1

        def observe(self, scenes, modalities):
            return [[Observation('Something.')] for _ in scenes[1:]]

    register(CAPTIONERS, Forgetful)
    report = build({**language, 'captioners': [dict(type='Forgetful'), dict(type='MeasuredCaptioner')]}).run(images)
    assert len(report.failed) == 4


def test_records_say_where_they_come_from(images, language, build):
    pipeline = build(language)
    pipeline.run(images[:1])
    features = pipeline.store.read('features', pipeline.keys.feature(*content_of(images[0])))
    assert features['images'] == [{'sha256': image_digest(images[0].path), 'file': '0.png', 'modality': 'PET'}]
    assert features['encoder'] == {'type': 'vlfusion.TransformersTextEncoder', 'version': '1',
                                   'model': 'all-MiniLM-L6-v2'}
    assert features['dim'] == 384
    paragraph = pipeline.store.read('paragraphs', *features['keys']['paragraphs'])
    assert paragraph['text'] == features['text']
    assert paragraph['prompt'] == features['prompt'] and paragraph['prompt']['id'] == 'paragraph@1'
    assert {'model', 'prompt_tokens', 'completion_tokens', 'finish_reason', 'cost', 'seconds', 'date',
            'vlfusion'} <= paragraph.keys()
    observations = pipeline.store.read('observations', *features['keys']['observations'])
    assert {one['captioner'] for one in observations['observations']} == {'vlfusion.MeasuredCaptioner'}
    folder = str(images[0].path.parent)
    assert all(folder not in file.read_text() for file in pipeline.store.root.rglob('*.json'))


def test_a_full_store_is_read_without_building_a_part(images, language, build):
    build(language).run(images[:1])
    assert len(build.encoded) == 1
    untouched = DescriptionPipeline(language)
    assert untouched.run(images[:1]).skipped == [images[0]]
    assert not {'captioners', 'llm', 'encoder'} & untouched.__dict__.keys()


@pytest.mark.parametrize('key', ['store', 'captioners', 'llm', 'prompt', 'encoder'])
def test_a_missing_part_is_named(language, key):
    del language[key]
    with pytest.raises(ConfigError, match=f"no '{key}'"):
        DescriptionPipeline(language)


@pytest.mark.slow
def test_an_unknown_part_stops_at_once(language):
    with pytest.raises(UnknownNameError, match='Did you mean TemplateLLM'):
        DescriptionPipeline({**language, 'llm': dict(type='TemplatLLM')})


def test_a_part_that_cannot_be_built_stops_the_run(images, language):
    language['encoder'] = dict(type='TransformersTextEncoder', model=str(images[0].path.parent / 'no model here'))
    with pytest.raises(ConfigError, match='cannot be loaded'):
        DescriptionPipeline(language).run(images)
