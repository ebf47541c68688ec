"""Training of small real networks on drawn scenes: it learns, resumes, and names its errors."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from downstream.tiny_networks import SEGMENTERS as TINY
from downstream.tiny_networks import config
from safetensors.torch import load_file

from vlfusion.data.sampler import Draw
from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.detectors import TorchvisionDetector
from vlfusion.downstream.interfaces import IGNORED
from vlfusion.downstream.labels import IndexMasks, YOLOLabels
from vlfusion.downstream.training import (
    LabelledPictures,
    TrainingPlan,
    identity,
    load_network,
    predict,
    read_picture,
    train_network,
)
from vlfusion.errors import CheckpointError, ConfigError, DataError, NetworkError, UnknownNameError
from vlfusion.registry import DETECTORS, snapshot
from vlfusion.testing.labelled_toys import SURFACES, THINGS, draw_scenes

pytest.importorskip('torchvision')
pytest.importorskip('timm')
pytest.importorskip('transformers')
DETECTOR = dict(type='TorchvisionDetector', model='fcos', backbone='test_resnet', levels=(1, 2, 3), channels=64,
                convs=1, size=(64, 64))
SEGMENTER = dict(type='TransformersSegmenter', size=(64, 64), model=dict(
    model_type='upernet', hidden_size=32, auxiliary_in_channels=64, auxiliary_channels=16, pool_scales=[1, 2],
    backbone_config=dict(model_type='convnext', depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 64, 64], patch_size=2,
                         out_features=['stage1', 'stage2', 'stage3', 'stage4'])))
TINY_SEGMENTER = dict(type='TransformersSegmenter', size=(64, 64), model=config(TINY, 'segformer'))
FCOS = dict(DETECTOR, channels=32)
PLAN = TrainingPlan(max_iters=6, size=(64, 64), batch_size=2, lr=1e-3, warmup=2, save_every=2)


def draw(root, count):
    """Scenes in both sources, and their average as the fused picture."""
    names = [f'{number:03d}' for number in range(count)]
    draw_scenes(root, names)
    (root / 'mean').mkdir()
    for name in names:
        infrared, visible = (cv2.imread(str(root / folder / f'{name}.png'), cv2.IMREAD_GRAYSCALE)
                             for folder in ('ir', 'vi'))
        cv2.imwrite(str(root / f'mean/{name}.png'), cv2.addWeighted(infrared, 0.5, visible, 0.5, 0))
    return root


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    return draw(tmp_path_factory.mktemp('scenes'), 6)


@pytest.fixture
def boxes(scenes):
    return YOLOLabels('labels', THINGS, scenes)


@pytest.fixture
def masks(scenes):
    return IndexMasks('masks', SURFACES, scenes)


@pytest.fixture
def pictures(scenes):
    return {path.stem: path for path in sorted(scenes.glob('mean/*.png'))}


def same(first, second):
    first, second = load_file(first), load_file(second)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class Interrupted(Exception):
    pass


def interrupt_at(step):
    def progress(done, total):
        if done == step:
            raise Interrupted(f'at {done} of {total}')
    return progress


@pytest.mark.parametrize('network, labels', [(FCOS, 'boxes'), (TINY_SEGMENTER, 'masks')], ids=['boxes', 'masks'])
def test_an_interrupted_training_ends_as_a_whole_one(network, labels, pictures, tmp_path, request):
    """The segmenter has dropout, so the random numbers of each step must be equal as well."""
    labels = request.getfixturevalue(labels)
    steps = []
    whole = train_network(network, labels, pictures, PLAN, tmp_path / 'whole',
                          progress=lambda done, total: steps.append((done, total)))
    assert steps == [(step, 6) for step in range(1, 7)]
    with pytest.raises(NetworkError, match='at 5 of 6'):
        train_network(network, labels, pictures, PLAN, tmp_path / 'parts', progress=interrupt_at(5))
    assert sorted(path.name for path in (tmp_path / 'parts').glob('iter_*.pth')) == ['iter_2.pth', 'iter_4.pth']
    torch.rand(7), np.random.rand(7)  # what else this process draws has no part
    steps.clear()
    resumed = train_network(network, labels, pictures, PLAN, tmp_path / 'parts',
                            progress=lambda done, total: steps.append(done))
    assert steps == [5, 6] and same(whole, resumed) and not list((tmp_path / 'parts').glob('iter_*.pth'))
    other = train_network(network, labels, pictures, PLAN, tmp_path / 'other', seed=1, progress=interrupt_at(99))
    assert not same(whole, other)


@pytest.mark.slow
def test_resume_after_sigkill_gives_equal_weights(scenes, boxes, pictures, tmp_path):
    plan = TrainingPlan(max_iters=40, size=(64, 64), batch_size=2, lr=1e-3, warmup=2, save_every=4)
    whole = train_network(FCOS, boxes, pictures, plan, tmp_path / 'whole', progress=lambda *_: None)
    killed = tmp_path / 'killed'
    process = subprocess.Popen([sys.executable, '-c', f"""
import time
from pathlib import Path
from vlfusion.downstream.labels import YOLOLabels
from vlfusion.downstream.training import TrainingPlan, train_network
from vlfusion.registry import DETECTORS, snapshot
from vlfusion.testing.labelled_toys import THINGS
root = Path({str(scenes)!r})
train_network({FCOS!r}, YOLOLabels('labels', THINGS, root), {{path.stem: path for path in sorted(root.glob('mean/*'))}},
              {plan!r}, {str(killed)!r}, progress=lambda *_: time.sleep(0.1))"""],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (killed / 'iter_8.pth').exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL if hasattr(signal, 'SIGKILL') else signal.SIGTERM)
    process.wait()
    assert (killed / 'iter_8.pth').exists() and not (killed / 'network.safetensors').exists()
    assert same(whole, train_network(FCOS, boxes, pictures, plan, killed, progress=lambda *_: None))


def test_a_finished_training_is_not_repeated_and_its_folder_is_its_own(boxes, pictures, tmp_path):
    first = train_network(FCOS, boxes, pictures, PLAN, tmp_path, progress=lambda *_: None)
    assert train_network(FCOS, boxes, pictures, PLAN, tmp_path, progress=interrupt_at(1)) == first
    for message, network, plan, seed, these in (
            ('another network', DETECTOR, PLAN, 0, pictures), ('another seed', FCOS, PLAN, 3, pictures),
            ('another training', FCOS, TrainingPlan(max_iters=6), 0, pictures),
            ('another data', FCOS, PLAN, 0, dict(list(pictures.items())[1:]))):
        with pytest.raises(ConfigError, match=message):
            train_network(network, boxes, these, plan, tmp_path, seed=seed)
    boxes.classes = replace(THINGS, void=0)
    with pytest.raises(ConfigError, match='another void class.'):
        train_network(FCOS, boxes, pictures, PLAN, tmp_path)
    boxes.classes = THINGS
    for network, plan in ((FCOS | dict(batch_size=1, top_k=5), PLAN), (FCOS, replace(PLAN, workers=1, save_every=3))):
        assert train_network(network, boxes, pictures, plan, tmp_path, progress=interrupt_at(1)) == first
    (tmp_path / 'training.json').unlink()
    with pytest.raises(ConfigError, match='its record cannot be read'):
        train_network(FCOS, boxes, pictures, PLAN, tmp_path)


def test_the_identity_of_a_training_is_what_decides_its_weights(tmp_path):
    first = identity(FCOS, THINGS, PLAN)
    assert json.loads(json.dumps(first)) == first
    for setting in (dict(device='cuda'), dict(batch_size=9), dict(threshold=0.4), dict(top_k=3), dict(overlap=0.6),
                    dict(api_key='sk-0123456789')):
        assert identity(FCOS | setting, THINGS, PLAN) == first, setting
    assert identity(FCOS, THINGS, replace(PLAN, workers=2, save_every=1)) == first
    others = [identity(FCOS | dict(channels=16), THINGS, PLAN), identity(FCOS, THINGS, replace(PLAN, lr=1.)),
              identity(FCOS, THINGS, None), identity(FCOS, ClassTable(THINGS.names, void=0), PLAN),
              identity(FCOS, ClassTable(('a', 'b')), PLAN), identity(dict(FCOS, revision='v2'), THINGS, PLAN)]
    assert all(other != first for other in others)
    local = dict(type='TransformersDetector', model=str(tmp_path / 'here'))
    for place, weights in (('here', b'1'), ('there', b'1'), ('changed', b'23')):
        (tmp_path / place).mkdir()
        (tmp_path / place / 'config.json').write_text('{}')
        (tmp_path / place / 'model.safetensors').write_bytes(weights)
    here, there, changed = (identity(dict(local, model=tmp_path / place), THINGS, PLAN)
                            for place in ('here', 'there', 'changed'))
    assert here == there == identity(local, THINGS, PLAN) != changed


def test_secrets_reach_the_network_but_no_file(boxes, pictures, tmp_path):
    secrets, got = ('sk-0123456789abc', 'hf_ABCDEFGH01234567'), []

    class Paid(TorchvisionDetector):
        def __init__(self, classes, *, api_key, service, **settings):
            got.extend([api_key, service['token']])
            super().__init__(classes, **settings)

    undo = snapshot()
    DETECTORS.register_module(module=Paid)
    try:
        network = FCOS | dict(type='Paid', api_key=secrets[0],
                              service=dict(token=secrets[1], url=f'http://{secrets[0]}@host'))
        train_network(network, boxes, pictures, replace(PLAN, max_iters=2), tmp_path, progress=interrupt_at(9))
    finally:
        undo()
    files = [path for path in tmp_path.rglob('*') if path.is_file()]
    assert got == [*secrets] and {'training.json', 'network.safetensors', 'config.py'} <= {path.name for path in files}
    assert [path for path in files if any(secret.encode() in path.read_bytes() for secret in secrets)] == []


def test_a_loss_that_is_not_finite_names_its_step(masks, pictures, tmp_path):
    plan = TrainingPlan(max_iters=9, size=(64, 64), batch_size=2, lr=1e30, warmup=0, clip=None, save_every=1,
                        optimizer=dict(type='SGD'))
    with pytest.raises(NetworkError, match=r'The loss of step [2-9] is (nan|inf)') as raised:
        train_network(TINY_SEGMENTER, masks, pictures, plan, tmp_path, progress=lambda *_: None)
    assert 'learning rate' in raised.value.remedy and not (tmp_path / 'network.safetensors').exists()


def test_errors_before_the_first_step(scenes, boxes, masks, pictures, tmp_path):
    def train(network, labels, these, **plan):
        train_network(network, labels, these, TrainingPlan(**(dict(max_iters=2) | plan)), tmp_path,
                      progress=interrupt_at(1))

    with pytest.raises(ConfigError, match='TorchvisionDetector learns from boxes, but the labels hold masks'):
        train(FCOS, masks, pictures)
    with pytest.raises(UnknownNameError, match='neither a detector nor a segmenter'):
        train(dict(type='os.system'), boxes, pictures)
    with pytest.raises(DataError, match='no pictures'):
        train(FCOS, boxes, {})
    with pytest.raises(DataError, match='absent'):
        train(FCOS, boxes, {'absent': pictures['000']})
    with pytest.raises(UnknownNameError, match='not a known optimizer'):
        train(FCOS, boxes, pictures, optimizer=dict(type='Adm'))
    with pytest.raises(NetworkError, match='at 1 of 2'):  # the folder still belongs to nobody
        train(FCOS, boxes, pictures)


@pytest.mark.parametrize('settings, message', [
    (dict(max_iters=0), 'max_iters'), (dict(size=(3,)), 'size'), (dict(scale=(2., 1.)), 'scale'),
    (dict(flip=2.), 'flip'), (dict(lr=-1.), 'lr'), (dict(size=(0, 1)), 'size')])
def test_plans_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TrainingPlan(**(dict(max_iters=3) | settings))


def test_only_weights_of_such_a_training_are_loaded(boxes, pictures, tmp_path):
    place = train_network(FCOS, boxes, pictures, TrainingPlan(max_iters=1, batch_size=2), tmp_path / 'w',
                          progress=lambda *_: None)
    assert not load_network(FCOS, THINGS, place).training
    with pytest.raises(CheckpointError, match='knows the classes warm, painted; expected a, b'):
        load_network(FCOS, ClassTable(('a', 'b')), place)
    with pytest.raises(CheckpointError, match='does not fit'):
        load_network(DETECTOR, THINGS, place)
    torch.save({'state_dict': torch.nn.Linear(2, 2)}, tmp_path / 'code.pth')
    with pytest.raises(CheckpointError, match='was refused'):
        load_network(FCOS, THINGS, tmp_path / 'code.pth')
    torch.save({'state_dict': {}}, tmp_path / 'plain.pth')
    with pytest.raises(CheckpointError, match='no network of a downstream task'):
        load_network(FCOS, THINGS, tmp_path / 'plain.pth')


class Given(YOLOLabels):
    """Labels in memory."""

    def __init__(self, kind, label, classes):
        self.kind, self.label, self.classes = kind, label, classes

    def read(self, name, size):
        return self.label


def test_changes_move_labels_with_their_pixels(tmp_path):
    """A bright rectangle stays under its box and its mask, whatever flip, scale and crop do."""
    picture, mask = np.zeros((53, 75), np.uint8), np.zeros((53, 75), np.int64)
    picture[10:30, 20:50], mask[10:30, 20:50] = 255, 1
    cv2.imwrite(str(tmp_path / 'a.png'), picture)
    box = Boxes(np.array([[20., 10, 50, 30], [0, 0, 75, 53]]), np.array([1, 0]), ignored=np.array([False, True]))
    plan, files = TrainingPlan(max_iters=1, size=(64, 96)), {'a': tmp_path / 'a.png'}
    with_boxes = LabelledPictures(files, Given('boxes', box, THINGS), plan)
    with_masks = LabelledPictures(files, Given('masks', mask, SURFACES), plan)
    lefts = set()
    for seed in range(12):
        sample, masked = with_boxes[Draw(0, seed)], with_masks[Draw(0, seed)]
        assert sample['picture'].shape == (3, 64, 96) and torch.equal(sample['picture'], masked['picture'])
        rows, columns = np.nonzero(sample['picture'][0].numpy() > 0.6)
        if len(rows):
            ((x0, y0, x1, y1),) = sample['label'].corners
            np.testing.assert_allclose([x0, y0, x1, y1], [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1],
                                       atol=1.5)
            lefts.add(round(x0))
        bright = sample['picture'][0].numpy() > 0.5
        assert ((masked['label'].numpy() == 1) == bright).mean() > 0.95
        beside = np.isclose(sample['picture'][0].numpy(), 114 / 255, atol=1e-3)
        assert not beside.any() or (masked['label'].numpy()[beside] == IGNORED).mean() > 0.95
    assert len(lefts) > 5
    again = pickle.loads(pickle.dumps(with_boxes))  # as a process that reads pictures gets it
    assert torch.equal(again[Draw(0, 3)]['picture'], with_boxes[Draw(0, 3)]['picture'])


@pytest.mark.parametrize('shape', [(48, 64), (96, 128), (64, 48), (30, 90)])
def test_at_scale_1_the_whole_picture_just_fits(shape, tmp_path):
    size = (48, 64)
    cv2.imwrite(str(tmp_path / 'a.png'), np.full(shape, 255, np.uint8))
    plan, files = TrainingPlan(max_iters=1, size=size, scale=(1, 1)), {'a': tmp_path / 'a.png'}
    box = Boxes(np.array([[0., 0, *shape[::-1]]]), np.array([0]))
    sample = LabelledPictures(files, Given('boxes', box, THINGS), plan)[Draw(0, 0)]
    masked = LabelledPictures(files, Given('masks', np.ones(shape, np.uint8), SURFACES), plan)[Draw(0, 0)]
    expected = [round(side * min(48 / shape[0], 64 / shape[1])) for side in shape]
    rows, columns = np.nonzero(sample['picture'][0].numpy() > 0.9)
    ((x0, y0, x1, y1),) = sample['label'].corners
    assert [np.ptp(rows) + 1, np.ptp(columns) + 1] == expected == [y1 - y0, x1 - x0]
    assert (masked['label'] == 1).sum() == np.prod(expected)


def test_the_void_class_may_be_left_out(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((8, 8), np.uint8))
    mask = np.arange(64).reshape(8, 8) % 3
    for learn_void, expected in ((True, {0, 1, 2}), (False, {IGNORED, 1, 2})):
        plan = TrainingPlan(max_iters=1, scale=(1., 1.), learn_void=learn_void)
        (label,) = {tuple(sorted(LabelledPictures({'a': tmp_path / 'a.png'}, Given('masks', mask, SURFACES), plan)
                                 [Draw(0, 0)]['label'].unique().tolist()))}
        assert set(label) == expected


def test_predictions_come_in_order_and_in_the_size_of_each_picture(scenes, boxes, masks, pictures, tmp_path):
    cv2.imwrite(str(tmp_path / 'odd.png'), np.full((53, 75, 3), 90, np.uint8))
    files = {'odd': tmp_path / 'odd.png', **{name: scenes / f'mean/{name}.png' for name in ('003', '001')}}
    segmenter, detector = (train_network(network, labels, pictures, PLAN, tmp_path / labels.kind)
                           for network, labels in ((TINY_SEGMENTER, masks), (FCOS, boxes)))
    results = list(predict(TINY_SEGMENTER, SURFACES, files, segmenter))
    assert [name for name, _ in results] == ['odd', '003', '001']
    assert [mask.shape for _, mask in results] == [(53, 75), (64, 64), (64, 64)]
    assert [name for name, boxes in predict(FCOS, THINGS, files, detector) if isinstance(boxes, Boxes)] == list(files)
    assert read_picture(files['odd']).shape == (53, 75, 3)
    for network, table in ((TINY_SEGMENTER, SURFACES), (FCOS, THINGS)):
        with pytest.raises(ConfigError, match='random weights'):
            next(predict(network, table, files))


@pytest.mark.slow
def test_small_networks_learn_the_drawn_scenes(tmp_path):
    root = draw(tmp_path / 'scenes', 130)
    boxes, masks = YOLOLabels('labels', THINGS, root), IndexMasks('masks', SURFACES, root)

    files = [(path.stem, path) for path in sorted(root.glob('mean/*.png'))]
    train, test = dict(files[:100]), dict(files[100:])
    place = train_network(DETECTOR, boxes, train, TrainingPlan(max_iters=200, size=(64, 64), lr=2e-3),
                          tmp_path / 'boxes', progress=lambda *_: None)
    hits = np.zeros((2, 2))
    for name, found in predict(DETECTOR, THINGS, test, place):
        truth, sure = boxes.read(name, (64, 64)), found.scores > 0.3
        for corners, number in zip(truth.corners, truth.classes, strict=True):
            errors = np.abs(found.corners[sure & (found.classes == number)] - corners).max(1, initial=0)
            hits[number] += (errors < 3).any(), 1
    assert (hits[:, 0] / hits[:, 1] > 0.85).all()
    place = train_network(SEGMENTER, masks, train, TrainingPlan(max_iters=150, size=(64, 64), lr=3e-3,
                                                                scale=(0.9, 1.2)), tmp_path / 'masks',
                          progress=lambda *_: None)
    counts = np.zeros((3, 3))
    for name, mask in predict(SEGMENTER, SURFACES, test, place):
        np.add.at(counts, (masks.read(name, (64, 64)), mask), 1)
    overlap = counts.diagonal() / (counts.sum(0) + counts.sum(1) - counts.diagonal())
    assert (overlap > 0.75).all(), overlap
