"""A model that reads several texts, from the config to the fused image; and losses that see the truth."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import default_collate

from vlfusion.cli import main
from vlfusion.data import PairDataset
from vlfusion.data.hdf5 import write_hdf5
from vlfusion.data.text import text_configs
from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.engine.runner import build_runner
from vlfusion.errors import ConfigError, DataError
from vlfusion.inference.fuser import Fuser
from vlfusion.models import FusionModel, text_dims
from vlfusion.registry import BACKBONES, LOSSES, snapshot
from vlfusion.testing import check_backbone
from vlfusion.testing.toys import draw_pairs

WHOLE = [dict(type='LoadPair'), dict(type='PackPair')]
TEXTS = dict(text_a=dict(files='text/{name}.npy'), instruction=dict(files='instruction/{name}.npy'))


class TwoTexts(nn.Module):
    """Weighs the sources by two texts, whose masked means are compared."""

    def __init__(self, dim_a=8, dim_instruction=4):
        super().__init__()
        self.text_dim = dict(text_a=dim_a, instruction=dim_instruction)
        self.of_text, self.of_instruction = nn.Linear(dim_a, 1), nn.Linear(dim_instruction, 1)

    def forward(self, source_a, source_b, text_a=None, instruction=None, text_a_mask=None,
                instruction_mask=None):
        if text_a is None or instruction is None:
            raise ConfigError('The network reads two texts.', 'Set text_source.')
        weight = 0
        for text, mask, layer in ((text_a, text_a_mask, self.of_text),
                                  (instruction, instruction_mask, self.of_instruction)):
            if text.shape[-1] != layer.in_features:
                raise ConfigError('The text has another width.', 'Use the encoder of the training.')
            mask = text.new_ones(text.shape[:2]) if mask is None else mask.to(text)
            weight = weight + layer((text * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))
        weight = weight.sigmoid()[..., None, None]
        return weight * source_a + (1 - weight) * source_b


class WordyLoss(nn.Module):
    """Looks at the truth and, where there is one, at the instruction."""

    weight = 1.0

    def forward(self, fused, source_a, source_b, truth, instruction=None):
        return (fused - truth).abs().mean() + (0 if instruction is None else instruction.mean())


@pytest.fixture(autouse=True)
def registered():
    """Names of this page are of no use beyond it."""
    undo = snapshot()
    for registry, cls in ((BACKBONES, TwoTexts), (BACKBONES, Optimising), (LOSSES, WordyLoss)):
        registry.register_module(module=cls)
    yield
    undo()


@pytest.fixture
def root(tmp_path):
    draw_pairs(tmp_path, ['1', '2'], size=(44, 48))
    generator = np.random.default_rng(1)
    for name in '12':
        for folder, dim in (('text', 8), ('instruction', 4)):
            (tmp_path / folder).mkdir(exist_ok=True)
            np.save(tmp_path / folder / f'{name}.npy', generator.normal(size=(int(name) + 1, dim)).astype(np.float32))
        (tmp_path / 'sharp').mkdir(exist_ok=True)
        image = cv2.imread(str(tmp_path / f'ir/{name}.png'), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(tmp_path / f'sharp/{name}.png'), 255 - image)
    return tmp_path


def build(root, **kwargs):
    return PairDataset('ivf', root, 'ir', 'vi', pipeline=kwargs.pop('pipeline', WHOLE), **kwargs)


def test_several_texts_stand_in_a_sample_under_their_names(root):
    dataset = build(root, text_source=TEXTS, text_length=dict(instruction=5))
    assert dataset.text_dims == dict(text_a=8, instruction=4)
    batch = default_collate([dataset[0], dataset[1]])
    assert batch['text_a'].shape == (2, 3, 8) and batch['instruction'].shape == (2, 5, 4) and 'text' not in batch
    assert batch['text_a_mask'].sum(1).tolist() == batch['instruction_mask'].sum(1).tolist() == [2, 3]
    np.testing.assert_array_equal(batch['text_a'][1], np.load(root / 'text/2.npy'))
    with pytest.raises(ConfigError, match="text_length names 'text'"):
        build(root, text_source=TEXTS, text_length=dict(text=5))


@pytest.mark.parametrize(('source', 'message'), [
    ('pair/paragraph', "text_source is 'pair/paragraph'"),
    (dict(stream='pair/paragraph', instruction=dict(fixed='x')), 'mixes one text with several.*\n.*_delete_=True'),
    (dict(text_a=dict(stream='x'), instruction='Keep it'), 'mixes one text with several'),
    (dict(text_a=dict(stream='x'), join=dict(type='mean')), 'mixes one text with several'),
    (dict(instruction=dict(fixed=['x'])), r"The fixed text is \['x'\]")])
def test_sources_that_are_half_wrong(source, message):
    with pytest.raises(ConfigError, match=message):
        text_configs(source)


@pytest.mark.parametrize('name', ['source_a', 'truth', 'text_mask', 'in-struction'])
def test_names_that_a_text_cannot_have(name):
    with pytest.raises(ConfigError, match=f'No text can be called {name!r}'):
        text_configs({name: dict(fixed='Fuse them.')})


def test_the_backbone_gets_each_text_and_fuses_by_it(root):
    dataset = build(root, text_source=TEXTS)
    torch.manual_seed(0)
    model = FusionModel(dict(type='TwoTexts'))
    assert text_dims(model.backbone) == dict(text_a=8, instruction=4)
    batch = default_collate([dataset[0], dataset[1]])
    other = batch | dict(instruction=batch['instruction'].flip(0))
    assert not torch.equal(model(**batch), model(**other))
    check_backbone(model.backbone)


def test_losses_get_what_they_name(root):
    sample = default_collate([build(root, text_source=TEXTS, truth='sharp')[0]])
    torch.testing.assert_close(sample['truth'], 1 - sample['source_a'])
    model = FusionModel(dict(type='TwoTexts'), [dict(type='TruthLoss', norm='l1'), dict(type='WordyLoss')])
    terms = model(**sample, mode='loss')
    expected = (model(**sample) - sample['truth']).abs().mean()
    torch.testing.assert_close(terms['truth'], expected)
    torch.testing.assert_close(terms['wordy'], expected + sample['instruction'].mean())
    without = {key: value for key, value in sample.items() if key != 'truth'}
    with pytest.raises(DataError, match="TruthLoss needs 'truth' of every pair"):
        model(**without, mode='loss')


def test_the_truth_is_cropped_and_turned_with_its_sources(root):
    augment = [dict(type='LoadPair'), dict(type='BothSources', transforms=[
        dict(type='RandomCrop', size=(8, 8)), dict(type='RandomFlip', prob=0.5), dict(type='RandomRotate90')]),
        dict(type='PackPair')]
    dataset = build(root, truth='sharp', pipeline=augment)
    for _ in range(8):
        sample = dataset[0]
        torch.testing.assert_close(sample['truth'], 1 - sample['source_a'])


def test_a_truth_that_is_missing_or_of_another_size_is_named(root):
    cv2.imwrite(str(root / 'sharp/2.png'), np.zeros((5, 6), np.uint8))
    with pytest.raises(DataError, match=r'2: .*sharp/2.png is 6x5'):
        build(root, truth='sharp')
    with pytest.raises(DataError, match=r'differ in size \(h, w\): .*sharp/2.png is \(5, 6\)'):
        build(root, truth='sharp', check=False)[1]
    (root / 'sharp/2.png').unlink()
    with pytest.raises(DataError, match='has no partner in the truth'):
        build(root, truth='sharp')
    mixed = dict(x=dict(source_a='ir', source_b='vi', truth='sharp'), y=dict(source_a='vi', source_b='ir'))
    with pytest.raises(DataError, match='The subsets y have no truth'):
        PairDataset('ivf', root, subsets=mixed)
    with pytest.raises(ConfigError, match='or subsets alone'):
        PairDataset('ivf', root, subsets=dict(x=dict(source_a='ir', source_b='vi')), truth='sharp')


def test_a_perceptual_loss_may_look_at_the_truth():
    pytest.importorskip('timm', reason="pip install 'vlfusion[vision]'")
    torch.manual_seed(0)
    fused, source_a, source_b, truth = torch.rand(4, 1, 1, 64, 64)
    options = dict(type='PerceptualLoss', model='resnet10t', pretrained=False)
    loss = LOSSES.build(options | dict(target='truth'))
    assert loss(fused, source_a, source_b, truth=fused) == 0 < loss(fused, source_a, source_b, truth=truth)
    with pytest.raises(DataError, match='needs the true image'):
        loss(fused, source_a, source_b)
    with pytest.raises(ConfigError, match='Did you mean truth'):
        LOSSES.build(options | dict(target='truht'))


def test_the_layout_of_hdf5_has_no_place_for_them(root, tmp_path):
    for kwargs, what in ((dict(text_source=TEXTS), 'text_a and instruction'), (dict(truth='sharp'), 'truth')):
        with pytest.raises(DataError, match=f'no place for {what}'):
            write_hdf5(tmp_path / 'x.h5', [build(root, **kwargs)[0]])
        assert not list(tmp_path.glob('*x.h5*'))


@pytest.mark.slow
def test_from_training_to_fusing(root, toy, capsys):
    config = toy(**{'train_cfg.max_iters': 1, 'train_cfg.val_interval': 1, 'default_hooks.checkpoint.interval': 1,
                    'train_dataloader.batch_size': 2})
    config.model = dict(type='FusionModel', backbone=dict(type='TwoTexts', dim_instruction=5),
                        losses=[dict(type='WordyLoss')])
    config.text_source, config.data_root = TEXTS, str(root)
    for split in ('train', 'val', 'test'):
        config[f'{split}_dataloader'].dataset = dict(type='PairDataset', task='ivf', source_a='ir', source_b='vi',
                                                     truth='sharp', pipeline=WHOLE)
    with pytest.raises(ConfigError, match=r'instruction features of width 5.*have width 4.\n.*text_dim.instruction=4'):
        build_runner(config, 'train')
    config.model.backbone.dim_instruction = 4
    config.text_source = dict(text_a=TEXTS['text_a'])
    with pytest.raises(ConfigError, match=r'reads instruction, but .* only text_a.\n.*dict\(instruction=dict'):
        build_runner(config, 'train')
    config.text_source = TEXTS
    build_runner(config, 'train').train()

    checkpoint, pair = toy.work / 'iter_1.pth', (root / 'ir/1.png', root / 'vi/1.png')
    fuser = Fuser(checkpoint)
    given = {key: np.load(root / f'{folder}/1.npy') for key, folder in (('text_a', 'text'),
                                                                        ('instruction', 'instruction'))}
    swapped = given | dict(instruction=-9 * given['instruction'])
    assert not np.array_equal(fuser(*pair, given).grey, fuser(*pair, swapped).grey)
    with pytest.raises(DataError, match=r'reads instruction features \(token, 4\), but got \(2, 8\)'):
        fuser(*pair, given | dict(instruction=given['text_a']))
    assert load_checkpoint_file(checkpoint)['meta']['vlfusion']['text_source'] == TEXTS
    assert main(['fuse', str(checkpoint), *map(str, pair), '-o', str(root / 'x.png'), '--text', 'x.npy']) == 2
    assert 'there is no file x.npy' in capsys.readouterr().err, '--text is the text about the images'
    with pytest.raises(ConfigError, match='does not say how to describe images'):
        fuser(*pair, given['text_a'])
    with pytest.raises(ConfigError, match="'instructoin' was given.*\n.*Did you mean instruction"):
        fuser(*pair, dict(instructoin=given['instruction']))
    with pytest.raises(ConfigError, match='does not say how to describe images'):
        fuser(*pair, dict(text_a=given['text_a']))


class Optimising(nn.Module):
    """Fits a weight to each pair at test time, as methods do that refine their result by a loss of the text."""

    def forward(self, source_a, source_b, text=None, text_mask=None):
        with torch.enable_grad():
            weight = torch.full((len(source_a), 1, 1, 1), 0.1, requires_grad=True)
            optimizer = torch.optim.SGD([weight], lr=0.5)
            for _ in range(200):
                optimizer.zero_grad()
                fused = weight * source_a + (1 - weight) * source_b
                (fused - torch.maximum(source_a, source_b)).square().mean().backward()
                optimizer.step()
        return weight.detach() * source_a + (1 - weight.detach()) * source_b


def test_a_method_may_optimise_at_test_time(tmp_path):
    for name, level in (('a', 200), ('b', 40)):
        cv2.imwrite(str(tmp_path / f'{name}.png'), np.full((8, 9), level, np.uint8))
    (tmp_path / 'config.py').write_text("task = 'ivf'\nprotocol = 'plain'\n"
                                        "model = dict(type='FusionModel', backbone=dict(type='Optimising'))\n")
    fused = Fuser(tmp_path / 'config.py')(tmp_path / 'a.png', tmp_path / 'b.png').grey
    assert (fused == 200).all(), 'the brighter source, to which the weight was fitted'
