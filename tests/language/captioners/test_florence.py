"""Florence-2 gives what its documented calls give, task by task."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from language.captioners.conftest import scenes

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.captioners.florence import FlorenceCaptioner
from vlfusion.language.captioners.pixels import rgb
from vlfusion.language.interfaces import Captioner, Observation

transformers = pytest.importorskip('transformers')
tokenizers = pytest.importorskip('tokenizers')

BOTH = ['caption', 'dense region caption']


@pytest.fixture
def captioner(florence):
    return lambda **settings: FlorenceCaptioner(**(dict(model=florence, tasks=BOTH, max_new_tokens=24) | settings))


@pytest.fixture
def written(captioner, monkeypatch):
    """Observation where the model writes a given text; its tokens go through the real processor."""
    def observe(text, task='dense region caption', size=(40, 60)):
        florence = captioner(tasks=[task])
        tokens = florence.processor.tokenizer(f'</s><s>{text}</s><pad><pad>', add_special_tokens=False,
                                              return_tensors='pt')['input_ids']
        monkeypatch.setattr(florence.model, 'generate', lambda **_: tokens)
        return florence.observe([(np.zeros(size, np.uint8),)], ('',))[0]
    return observe


@pytest.mark.slow
def test_a_batch_gives_what_its_singles_give_task_by_task(captioner, pictures):
    florence = captioner(batch_size=2)
    assert isinstance(florence, Captioner)
    together = florence.observe(scenes(pictures), ('MRI',))
    assert len(together) == len(pictures)
    assert together == [florence.observe([(picture,)], ('',))[0] for picture in pictures]
    assert together == captioner().observe(scenes(pictures), ('MRI',))  # another instance, another batch
    alone = [captioner(tasks=[task]).observe(scenes(pictures), ('',)) for task in BOTH]
    assert together == [captions + regions for captions, regions in zip(*alone, strict=True)]
    assert len({str(captions) for captions in alone[0]}) > 1  # the image matters
    regions = [seen for of_one in alone[1] for seen in of_one]
    assert regions and all(0 <= seen.box[0] < seen.box[2] <= 1 and seen.area > 0 for seen in regions)
    captions = [seen for of_one in alone[0] for seen in of_one]
    assert all(seen.box is seen.area is None and not re.search('<.*>', seen.text) for seen in captions)


@pytest.mark.slow
@pytest.mark.parametrize('task, token', [
    ('caption', '<CAPTION>'), ('detailed caption', '<DETAILED_CAPTION>'), ('object detection', '<OD>'),
    ('more detailed caption', '<MORE_DETAILED_CAPTION>'), ('dense region caption', '<DENSE_REGION_CAPTION>')])
def test_what_is_seen_is_what_the_documented_call_gives(florence, captioner, pictures, task, token):
    processor = transformers.AutoProcessor.from_pretrained(florence)
    model = transformers.Florence2ForConditionalGeneration.from_pretrained(florence).eval()
    inputs = processor(text=token, images=rgb(pictures[1]), return_tensors='pt')
    with torch.inference_mode():
        ids = model.generate(**inputs, max_new_tokens=24, num_beams=3)
    text = processor.batch_decode(ids, skip_special_tokens=False)[0]
    expected = processor.post_process_generation(text, task=token, image_size=(60000, 40000))[token]
    observed = captioner(tasks=[task]).observe(scenes(pictures[1:2]), ('',))[0]
    if 'caption' in task and 'region' not in task:
        assert [seen.text for seen in observed] == [' '.join(re.sub(r'<loc_\d+>', '', expected).split())]
        return
    known = [(label, box) for label, box in zip(expected['labels'], expected['bboxes'], strict=True)
             if label and box[0] < box[2] and box[1] < box[3]]
    assert [seen.text for seen in observed] == [' '.join(label.split()) for label, _ in known]
    for seen, (_, box) in zip(observed, known, strict=True):
        assert seen.box == pytest.approx([edge / side for edge, side in zip(box, (60000, 40000) * 2, strict=True)])


@pytest.mark.slow
@pytest.mark.parametrize('task', ['dense region caption', 'object detection'])
def test_every_box_of_a_name_is_one_region(written, task):
    (car,) = written('car<loc_10><loc_20><loc_300><loc_400>', task)
    assert car == Observation('car', (0.0105, 0.0205, 0.3005, 0.4005), car.area)
    assert car.area == pytest.approx(0.29 * 0.38)
    seen = written('car<loc_10><loc_20><loc_300><loc_400><loc_0><loc_0><loc_999><loc_999>'
                   'two  parked cars<loc_500><loc_0><loc_501><loc_999>', task)
    assert [one.text for one in seen] == ['car', 'car', 'two parked cars']
    assert [one.box for one in seen] == [car.box, (0.0005, 0.0005, 0.9995, 0.9995), (0.5005, 0.0005, 0.5015, 0.9995)]


@pytest.mark.parametrize('size', [(1, 1), (1, 3), (3, 1), (3, 3), (7, 900)])
def test_a_box_does_not_depend_on_the_size_of_the_image(written, size):
    assert written('car<loc_10><loc_20><loc_11><loc_400>', size=size)[0].box == (0.0105, 0.0205, 0.0115, 0.4005)


@pytest.mark.parametrize('text', [
    'car<loc_10><loc_20><loc_10><loc_400>', 'car<loc_10><loc_400><loc_300><loc_400>',
    'car<loc_300><loc_20><loc_10><loc_400>', 'car<loc_10><loc_20><loc_300>', '<loc_10><loc_20><loc_300><loc_400>',
    ' <loc_10><loc_20><loc_300><loc_400>', 'car', ''])
def test_what_has_no_extent_no_name_or_no_end_is_left_out(written, text):
    assert written(text) == []


def test_what_is_left_out_takes_nothing_else_with_it(written):
    seen = written('car<loc_300><loc_20><loc_10><loc_400><loc_1><loc_2><loc_3><loc_4>tree<loc_5><loc_6><loc_7><loc_8>'
                   'road<loc_1><loc_2>')
    assert [(one.text, one.box[0]) for one in seen] == [('car', 0.0015), ('tree', 0.0055)]


def test_a_box_beyond_the_image_is_clipped(written):
    assert written('sky<loc_0><loc_0><loc_1000><loc_300>')[0].box == (0.0005, 0.0005, 1, 0.3005)


def test_a_caption_is_free_of_places_and_padding(written):
    assert written('two parked\n cars<loc_10>', 'caption') == [Observation('two parked cars')]
    assert written('<loc_10>', 'detailed caption') == []


@pytest.mark.slow
def test_settings_reach_the_model(captioner, pictures):
    texts = {(beams, length): captioner(tasks=['caption'], num_beams=beams, max_new_tokens=length).observe(
                 scenes(pictures), ('',)) for beams in (1, 3) for length in (8, 24)}
    assert len({str(seen) for seen in texts.values()}) == 4
    assert captioner().observe([], ('',)) == []


@pytest.mark.slow
@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_half_precision(captioner, dtype, pictures):
    florence = captioner(dtype=dtype)
    assert florence.model.dtype == getattr(torch, dtype) and any(florence.observe(scenes(pictures), ('',)))


@pytest.mark.slow
@pytest.mark.parametrize('picture, message', [
    (np.full((9, 9), np.nan, np.float32), 'float32 with NaN'), (np.zeros((9, 9)), 'holds float64'),
    (np.zeros((9, 9, 4), np.uint8), r'\(9, 9, 4\)'), (np.zeros((0, 9), np.uint8), r'\(0, 9\)')])
def test_what_is_no_image_is_refused(captioner, picture, message):
    with pytest.raises(DataError, match=message):
        captioner().observe([(picture,)], ('',))


@pytest.mark.parametrize('setting, message', [
    (dict(tasks=['dense region captoin']), 'Did you mean dense region caption?'), (dict(tasks=['<OD>']), 'no task'),
    (dict(tasks='caption'), 'a list'), (dict(tasks=[]), 'a list'), (dict(tasks=['caption'] * 2), 'different names'),
    (dict(model='no/such'), 'FlorenceCaptioner cannot load the model .no/such'), (dict(batch_size=0), 'batch_size'),
    (dict(num_beams=0), 'num_beams'), (dict(max_new_tokens=0), 'max_new_tokens'), (dict(dtype='float8'), 'no dtype'),
    (dict(max_new_tokens=257), 'writes at most 256 tokens'), (dict(device='cuda:99'), 'cannot load')])
def test_settings_that_cannot_be_are_refused(captioner, setting, message):
    with pytest.raises(ConfigError, match=message):
        captioner(**setting)


@pytest.mark.slow
def test_as_much_as_the_model_can_write_is_no_error(captioner, pictures):
    assert captioner(tasks=['dense region caption'], max_new_tokens=256).observe(scenes(pictures[:1]), ('',))


def test_another_captioner_and_a_checkpoint_in_pieces_are_refused(captioner, florence, blip2, tmp_path):
    with pytest.raises(ConfigError, match='is of the type blip-2'):
        captioner(model=blip2)
    folder = Path(shutil.copytree(florence, tmp_path / 'mute'))
    config = folder / 'processor_config.json'
    config.write_text(json.dumps(json.loads(config.read_text()) | {'post_processor_config': None}))
    with pytest.raises(ConfigError, match='does not say how boxes are read'):
        captioner(model=str(folder))
    assert captioner(model=str(folder), tasks=['caption']).observe([], ('',)) == []
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path))):
        captioner(model=str(tmp_path))


@pytest.mark.slow
def test_a_chain_asks_both_tasks_of_one_model(language, images, encoder, florence):
    from vlfusion.language.pipeline import DescriptionPipeline
    language['captioners'] += [dict(type='FlorenceCaptioner', model=florence, tasks=BOTH, max_new_tokens=96)]
    pipeline = DescriptionPipeline(language)
    pipeline.run(images).raise_if_failed()
    records = [json.loads(path.read_text()) for path in pipeline.store.root.glob('observations/*/*.json')]
    boxes = [seen['box'] for record in records for seen in record['observations']
             if seen['captioner'].endswith('FlorenceCaptioner')]
    assert len(records) == len(images) and any(boxes) and not all(boxes)
