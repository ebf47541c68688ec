"""Detectors give boxes within the image, as the documented calls do."""

import json
import sys

import numpy as np
import pytest
import torch
from language.captioners.conftest import scenes

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.captioners.detector import OpenVocabularyDetector
from vlfusion.language.captioners.masks import SamMasks, _bounds
from vlfusion.language.captioners.pixels import rgb
from vlfusion.language.interfaces import Captioner

pytest.importorskip('transformers')
pytest.importorskip('torchvision')

LABELS = ['car', 'person', 'tree']


@pytest.fixture(scope='module')
def owlvit(owl, tmp_path_factory):
    """An OWL-ViT with the weights of the OWLv2, which has an objectness more and pads its images to squares."""
    from transformers import (
        Owlv2ForObjectDetection,
        Owlv2Processor,
        OwlViTConfig,
        OwlViTForObjectDetection,
        OwlViTImageProcessor,
        OwlViTProcessor,
    )
    folder, owlv2 = tmp_path_factory.mktemp('owlvit'), Owlv2ForObjectDetection.from_pretrained(owl)
    text, vision = ({name: value for name, value in part.to_dict().items() if name != 'model_type'}
                    for part in (owlv2.config.text_config, owlv2.config.vision_config))
    network = OwlViTForObjectDetection(OwlViTConfig(text_config=text, vision_config=vision, projection_dim=16))
    weights = {name.replace('owlv2', 'owlvit'): value for name, value in owlv2.state_dict().items()}
    assert not network.load_state_dict(weights, strict=False).missing_keys
    network.save_pretrained(folder)
    OwlViTProcessor(OwlViTImageProcessor(size={'height': 32, 'width': 32}),
                    Owlv2Processor.from_pretrained(owl).tokenizer).save_pretrained(folder)
    return str(folder)


@pytest.fixture(params=['owl', 'owlvit', 'dino'])
def model(request):
    return request.getfixturevalue(request.param)


@pytest.mark.slow
def test_boxes_are_fractions_within_the_image_with_area_and_score(model, pictures):
    detector = OpenVocabularyDetector(model, LABELS, threshold=0, overlap=1, top_k=100)
    assert isinstance(detector, Captioner)
    observed = detector.observe(scenes(pictures), ('infrared',))
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


@pytest.mark.slow
def test_a_batch_gives_what_its_singles_give(model, pictures):
    detector = OpenVocabularyDetector(model, LABELS, threshold=0, batch_size=3)
    mixed = [pictures[0], pictures[1], pictures[3], pictures[2], pictures[4]]
    for of_one, picture in zip(detector.observe(scenes(mixed), ('',)), mixed, strict=True):
        (alone,) = detector.observe([(picture,)], ('',))
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
    detector = OpenVocabularyDetector(owl, LABELS, threshold=0, overlap=1, top_k=100)
    observed = detector.observe(scenes(pictures[1:2]), ('',))[0]
    assert [seen.text for seen in observed] == [found['text_labels'][index] for index in best[inside].tolist()]
    expected = (found['boxes'][best][inside] / torch.tensor([60, 40, 60, 40])).clamp(0, 1)
    torch.testing.assert_close(torch.tensor([seen.box for seen in observed]), expected, atol=1e-5, rtol=0)


def test_the_boxes_of_owlvit_are_fractions_of_the_image_and_not_of_a_square(owlvit, pictures):
    from transformers import AutoProcessor, OwlViTForObjectDetection
    network = OwlViTForObjectDetection.from_pretrained(owlvit).eval()
    inputs = AutoProcessor.from_pretrained(owlvit)(images=rgb(pictures[1]), text=[LABELS], return_tensors='pt')
    with torch.inference_mode():
        found = network(**inputs)
    (middle_x, middle_y, width, height), scores = found.pred_boxes[0].T, found.logits[0].max(1).values.sigmoid()
    edges = torch.stack([middle_x - width / 2, middle_y - height / 2, middle_x + width / 2, middle_y + height / 2], 1)
    expected = edges.clamp(0, 1)[scores.argsort(descending=True)]
    expected = expected[(expected[:, :2] < expected[:, 2:]).all(1)]
    detector = OpenVocabularyDetector(owlvit, LABELS, threshold=0, overlap=1, top_k=100)
    assert type(detector.model) is OwlViTForObjectDetection
    observed = detector.observe(scenes(pictures[1:2]), ('',))[0]
    torch.testing.assert_close(torch.tensor([seen.box for seen in observed]), expected, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_threshold_overlap_and_number_limit_what_is_found(model, pictures):
    def observe(**settings):
        detector = OpenVocabularyDetector(model, LABELS, threshold=0, **settings)
        return detector.observe(scenes(pictures[:1]), ('',))[0]

    whole = observe(overlap=1, top_k=100)
    assert observe(overlap=1, top_k=2) == whole[:2]
    apart = observe(overlap=0, top_k=100)
    assert 0 < len(apart) < len(whole)
    for index, one in enumerate(apart):
        for other in apart[index + 1:]:
            apart_x = one.box[2] <= other.box[0] or other.box[2] <= one.box[0]
            assert one.text != other.text or apart_x or one.box[3] <= other.box[1] or other.box[3] <= one.box[1]
    assert OpenVocabularyDetector(model, LABELS, threshold=1).observe(scenes(pictures), ('',)) == [[]] * len(pictures)


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_half_precision_and_no_images(model, dtype, pictures):
    detector = OpenVocabularyDetector(model, LABELS, threshold=0, dtype=dtype)
    assert detector.model.dtype == getattr(torch, dtype) and all(detector.observe(scenes(pictures[:4]), ('',)))
    assert detector.observe([], ('',)) == []


def test_what_is_no_image_is_refused(owl):
    detector = OpenVocabularyDetector(owl, LABELS)
    for picture in (np.full((9, 9), np.nan, np.float32), np.zeros((9, 9, 2), np.uint8)):
        with pytest.raises(DataError, match='A captioner reads'):
            detector.observe([(picture,)], ('',))


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


@pytest.mark.slow
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


def sam2_settings():
    backbone = dict(model_type='sam2_hiera_det_model', hidden_size=8, image_size=[64, 64],
                    blocks_per_stage=[1, 1, 2, 1], embed_dim_per_stage=[8, 16, 32, 64],
                    num_attention_heads_per_stage=[1, 1, 2, 2], window_size_per_stage=[4, 2, 2, 2],
                    global_attention_blocks=[3], window_positional_embedding_background_size=[2, 2])
    return dict(
        vision_config=dict(model_type='sam2_vision_model', backbone_config=backbone, fpn_hidden_size=16,
                           backbone_channel_list=[64, 32, 16, 8], backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]]),
        prompt_encoder_config=dict(hidden_size=16, image_size=64, patch_size=16, mask_input_channels=4),
        mask_decoder_config=dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, mlp_dim=16,
                                 iou_head_hidden_dim=16))


@pytest.fixture(scope='module')
def sam2(tmp_path_factory):
    from transformers import Sam2Config, Sam2ImageProcessor, Sam2Model, Sam2Processor
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp('sam2')
    Sam2Model(Sam2Config(**sam2_settings())).save_pretrained(folder)
    Sam2Processor(Sam2ImageProcessor(size={'height': 64, 'width': 64})).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope='module')
def sam2_video(tmp_path_factory):
    """Model as in the published SAM2 checkpoints: a model of videos, which holds that of images."""
    from transformers import (
        Sam2ImageProcessor,
        Sam2VideoConfig,
        Sam2VideoModel,
        Sam2VideoProcessor,
        Sam2VideoVideoProcessor,
    )
    torch.manual_seed(0)
    folder, size = tmp_path_factory.mktemp('sam2_video'), {'height': 64, 'width': 64}
    memory = dict(memory_attention_hidden_size=16, memory_attention_num_layers=1, memory_encoder_hidden_size=16,
                  memory_attention_feed_forward_hidden_size=16, memory_attention_rope_feat_sizes=[4, 4],
                  memory_encoder_output_channels=8, mask_downsampler_embed_dim=16, memory_fuser_embed_dim=16,
                  memory_fuser_intermediate_dim=16, memory_fuser_num_layers=1)
    Sam2VideoModel(Sam2VideoConfig(**sam2_settings(), **memory, image_size=64)).save_pretrained(folder)
    Sam2VideoProcessor(Sam2ImageProcessor(size=size), Sam2VideoVideoProcessor(size=size)).save_pretrained(folder)
    return str(folder)


@pytest.fixture(params=['sam', 'sam2', 'sam2_video'])
def regions(request, blip2):
    sam = request.getfixturevalue(request.param)
    from vlfusion.language.captioners.transformers_captioner import TransformersCaptioner
    labeller = dict(type=TransformersCaptioner.__name__, model=blip2, max_new_tokens=3)
    return lambda **settings: SamMasks(sam, **(dict(labeller=labeller, quality=0, stability=0, min_area=0,
                                                    points_per_side=4) | settings))


@pytest.mark.slow
def test_regions_have_tight_boxes_and_areas_the_largest_first(regions, pictures):
    captioner = regions(top_k=3)
    assert isinstance(captioner, Captioner)
    observed = captioner.observe(scenes(pictures), ('MRI',))
    assert len(observed) == len(pictures) and any(observed)
    for of_one, picture in zip(observed, pictures, strict=True):
        areas = [seen.area for seen in of_one]
        assert len(of_one) <= 3 and areas == sorted(areas, reverse=True)
        for seen in of_one:
            x0, y0, x1, y1 = seen.box
            assert 0 < seen.area <= (x1 - x0) * (y1 - y0) + 1e-6
            height, width = picture.shape[:2]
            crop = picture[round(y0 * height):round(y1 * height), round(x0 * width):round(x1 * width)]
            assert captioner.labeller.observe([(crop,)], ('MRI',))[0][0].text == seen.text
    assert observed == [captioner.observe([(picture,)], ('MRI',))[0] for picture in pictures]


@pytest.mark.parametrize('size', [(40, 60), (60, 40), (50, 50), (8, 200)])
def test_sam_is_asked_about_every_part_of_an_image(regions, size):
    captioner, asked = regions(points_per_side=4), []
    captioner.generate.model.register_forward_pre_hook(
        lambda network, args, inputs: asked.append(inputs['input_points'].reshape(-1, 2)), with_kwargs=True)
    captioner.observe([(np.zeros(size, np.uint8),)], ('',))
    seen = [64, 64]  # what the model sees is stretched to this
    if type(captioner.generate.model).__name__ == 'SamModel':  # or padded to it
        seen = [round(64 * size[1] / max(size)), round(64 * size[0] / max(size))]
    expected = torch.tensor([[x * seen[0], y * seen[1]] for y in (1, 3, 5, 7) for x in (1, 3, 5, 7)]) / 8
    torch.testing.assert_close(torch.cat(asked), expected, atol=0.2, rtol=0)


def test_a_box_has_the_whole_pixels_that_a_mask_of_another_size_touches():
    mask = np.zeros((8, 8), bool)
    mask[2:5, 1:7] = True
    assert _bounds(mask, 8, 8) == (1, 2, 7, 5)
    assert _bounds(mask, 16, 4) == (0, 4, 4, 10)
    assert _bounds(mask, 3, 80) == (10, 0, 70, 2)
    assert _bounds(mask, 1, 1) == (0, 0, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_regions_in_half_precision(regions, dtype, pictures):
    captioner = regions(dtype=dtype)
    assert captioner.generate.model.dtype == getattr(torch, dtype) and any(captioner.observe(scenes(pictures), ('',)))


@pytest.mark.slow
def test_regions_that_are_small_or_uncertain_are_left_out(regions, pictures):
    assert all(seen.area >= 0.3 for of_one in regions(min_area=0.3).observe(scenes(pictures), ('',)) for seen in of_one)
    assert regions(quality=1).observe(scenes(pictures), ('',)) == [[]] * len(pictures)
    assert regions(min_area=1, quality=1).observe([], ('',)) == []


def test_settings_of_regions_that_cannot_be_are_refused(regions):
    with pytest.raises(ConfigError, match='labeller'):
        regions(labeller=dict(model='x'))
    with pytest.raises(ConfigError, match='stability'):
        regions(stability=2)
    with pytest.raises(ConfigError, match='SamMasks cannot load the model'):
        SamMasks('no/such', labeller=dict(type='MeasuredCaptioner'))
    with pytest.raises(DataError, match='A captioner reads'):
        regions().observe([(np.full((9, 9), np.nan, np.float32),)], ('',))
