import json
import sys

import numpy as np
import pytest
import torch

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.captioners.detector import OpenVocabularyDetector
from vlfusion.language.captioners.masks import SamMasks
from vlfusion.language.captioners.pixels import rgb
from vlfusion.language.interfaces import Captioner

pytest.importorskip('transformers')
pytest.importorskip('torchvision')

LABELS = ['car', 'person', 'tree']


@pytest.fixture(params=['owl', 'dino'])
def model(request):
    return request.getfixturevalue(request.param)


def test_boxes_are_fractions_within_the_image_with_area_and_score(model, pictures):
    detector = OpenVocabularyDetector(model, LABELS, threshold=0, overlap=1, top_k=100)
    assert isinstance(detector, Captioner)
    observed = detector.observe(pictures, 'infrared')
    assert len(observed) == len(pictures) and sum(map(len, observed)) > 5
    for of_one in observed:
        scores = [seen.score for seen in of_one]
        assert scores == sorted(scores, reverse=True)
        for seen in of_one:
            x0, y0, x1, y1 = seen.box
            assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
            assert seen.area == pytest.approx((x1 - x0) * (y1 - y0)) and 0 <= seen.score <= 1
            assert any(word in LABELS for word in seen.text.replace('.', ' ').split())
    assert len({str(of_one) for of_one in observed}) > 1


def test_a_batch_gives_what_its_singles_give(model, pictures):
    detector = OpenVocabularyDetector(model, LABELS, threshold=0, batch_size=3)
    mixed = [pictures[0], pictures[1], pictures[3], pictures[2], pictures[4]]
    for of_one, picture in zip(detector.observe(mixed, ''), mixed, strict=True):
        (alone,) = detector.observe([picture], '')
        assert [seen.text for seen in alone] == [seen.text for seen in of_one]
        for left, right in zip(alone, of_one, strict=True):
            assert left.box == pytest.approx(right.box, abs=1e-4) and left.score == pytest.approx(right.score, abs=1e-4)


def test_the_boxes_are_those_of_the_documented_call(owl, pictures):
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor
    processor, network = AutoProcessor.from_pretrained(owl), AutoModelForZeroShotObjectDetection.from_pretrained(owl)
    assert type(network).__name__ == 'Owlv2ForObjectDetection'
    inputs = processor(images=rgb(pictures[1]), text=[LABELS], return_tensors='pt')
    with torch.inference_mode():
        (found,) = processor.post_process_grounded_object_detection(network.eval()(**inputs), threshold=0.0,
                                                                    target_sizes=[(40, 60)], text_labels=[LABELS])
    best = found['scores'].argsort(descending=True)
    left, top, right, bottom = found['boxes'][best].T
    inside = (right > 0) & (bottom > 0) & (left < 60) & (top < 40)
    observed = OpenVocabularyDetector(owl, LABELS, threshold=0, overlap=1, top_k=100).observe(pictures[1:2], '')[0]
    assert [seen.text for seen in observed] == [found['text_labels'][index] for index in best[inside].tolist()]
    expected = (found['boxes'][best][inside] / torch.tensor([60, 40, 60, 40])).clamp(0, 1)
    torch.testing.assert_close(torch.tensor([seen.box for seen in observed]), expected, atol=1e-5, rtol=0)


def test_threshold_overlap_and_number_limit_what_is_found(model, pictures):
    whole = OpenVocabularyDetector(model, LABELS, threshold=0, overlap=1, top_k=100).observe(pictures[:1], '')[0]
    two = OpenVocabularyDetector(model, LABELS, threshold=0, overlap=1, top_k=2).observe(pictures[:1], '')
    assert two == [whole[:2]]
    apart = OpenVocabularyDetector(model, LABELS, threshold=0, overlap=0, top_k=100).observe(pictures[:1], '')[0]
    assert 0 < len(apart) < len(whole)
    for index, one in enumerate(apart):
        for other in apart[index + 1:]:
            apart_x = one.box[2] <= other.box[0] or other.box[2] <= one.box[0]
            assert one.text != other.text or apart_x or one.box[3] <= other.box[1] or other.box[3] <= one.box[1]
    assert OpenVocabularyDetector(model, LABELS, threshold=1).observe(pictures, '') == [[]] * len(pictures)


def test_half_precision_and_no_images(owl, pictures):
    detector = OpenVocabularyDetector(owl, LABELS, dtype='bfloat16')
    assert len(detector.observe(pictures, '')) == len(pictures)
    assert detector.observe([], '') == []


def test_what_is_no_image_is_refused(owl):
    detector = OpenVocabularyDetector(owl, LABELS)
    for picture in (np.full((9, 9), np.nan, np.float32), np.zeros((9, 9, 2), np.uint8)):
        with pytest.raises(DataError, match='A captioner reads'):
            detector.observe([picture], '')


@pytest.mark.parametrize('setting, message', [
    (dict(model='no/such'), 'no/such'), (dict(labels=[]), 'none'), (dict(labels=['car', 'car']), 'twice'),
    (dict(threshold=-0.1), 'threshold'), (dict(overlap=2), 'overlap'), (dict(top_k=0), 'top_k'),
    (dict(labels=['car, ' * 20]), 'reads at most 16')])
def test_settings_that_cannot_be_are_refused(owl, setting, message):
    with pytest.raises(ConfigError, match=message):
        OpenVocabularyDetector(**(dict(model=owl, labels=LABELS) | setting))


def test_labels_that_together_are_too_long_are_refused(dino):
    with pytest.raises(ConfigError, match='reads at most 64'):
        OpenVocabularyDetector(dino, [f'tree {"b" * index}' for index in range(1, 12)])


def test_a_captioner_is_no_detector(blip):
    with pytest.raises(ConfigError, match='OpenVocabularyDetector cannot load the model'):
        OpenVocabularyDetector(blip, LABELS)


def test_without_torchvision_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torchvision.ops', None)
    with pytest.raises(ConfigError, match=r"pip install 'vlfusion\[language,vision\]'"):
        OpenVocabularyDetector('nobody/nothing', LABELS)


def test_a_config_of_plain_data_is_all_it_takes(owl):
    from vlfusion.registry import CAPTIONERS
    config = json.loads(json.dumps(dict(type='OpenVocabularyDetector', model=owl, labels=LABELS)))
    assert isinstance(CAPTIONERS.build(config), OpenVocabularyDetector)


def test_captioners_in_a_chain_fill_the_text_store(language, images, encoder, blip2, owl):
    from vlfusion.language.captioners.transformers_captioner import TransformersCaptioner
    from vlfusion.language.pipeline import DescriptionPipeline
    language['captioners'] += [dict(type=TransformersCaptioner.__name__, model=blip2, max_new_tokens=4, device='cpu'),
                               dict(type='OpenVocabularyDetector', model=owl, labels=LABELS, threshold=0, top_k=2)]
    DescriptionPipeline(language).run(images).raise_if_failed()
    pipeline = DescriptionPipeline(language)
    records = [json.loads(path.read_text()) for path in pipeline.store.root.glob('observations/*/*.json')]
    assert len(records) == len(images)
    for record in records:
        names = [seen['captioner'].rpartition('.')[2] for seen in record['observations']]
        assert names[0] == 'MeasuredCaptioner' and names.count('TransformersCaptioner') == 1
        assert names[-1] == 'OpenVocabularyDetector' and record['observations'][-1]['box']
    language['captioners'][1] |= dict(device='cuda', batch_size=1)  # how it runs, not what it says
    assert len(DescriptionPipeline(language).run(images).skipped) == len(images)


@pytest.fixture
def regions(sam, blip2):
    from vlfusion.language.captioners.transformers_captioner import TransformersCaptioner
    labeller = dict(type=TransformersCaptioner.__name__, model=blip2, max_new_tokens=3)
    return lambda **settings: SamMasks(sam, **(dict(labeller=labeller, quality=0, stability=0, min_area=0,
                                                    points_per_side=4) | settings))


def test_regions_have_tight_boxes_and_areas_the_largest_first(regions, pictures):
    captioner = regions(top_k=3)
    assert isinstance(captioner, Captioner)
    observed = captioner.observe(pictures, 'MRI')
    assert len(observed) == len(pictures) and any(observed)
    for of_one, picture in zip(observed, pictures, strict=True):
        areas = [seen.area for seen in of_one]
        assert len(of_one) <= 3 and areas == sorted(areas, reverse=True)
        for seen in of_one:
            x0, y0, x1, y1 = seen.box
            assert 0 < seen.area <= (x1 - x0) * (y1 - y0) + 1e-6
            height, width = picture.shape[:2]
            crop = picture[round(y0 * height):round(y1 * height), round(x0 * width):round(x1 * width)]
            assert captioner.labeller.observe([crop], 'MRI')[0][0].text == seen.text
    assert observed == [captioner.observe([picture], 'MRI')[0] for picture in pictures]


def test_regions_that_are_small_or_uncertain_are_left_out(regions, pictures):
    assert all(seen.area >= 0.3 for of_one in regions(min_area=0.3).observe(pictures, '') for seen in of_one)
    assert regions(quality=1).observe(pictures, '') == [[]] * len(pictures)
    assert regions(min_area=1, quality=1).observe([], '') == []


def test_settings_of_regions_that_cannot_be_are_refused(regions, sam):
    with pytest.raises(ConfigError, match='labeller'):
        regions(labeller=dict(model='x'))
    with pytest.raises(ConfigError, match='stability'):
        regions(stability=2)
    with pytest.raises(ConfigError, match='SamMasks cannot load the model'):
        SamMasks('no/such', labeller=dict(type='MeasuredCaptioner'))
    with pytest.raises(DataError, match='A captioner reads'):
        regions().observe([np.full((9, 9), np.nan, np.float32)], '')
