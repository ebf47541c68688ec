"""Maps, further images of a pair: from folders through augmentation to backbones and losses."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import default_collate

from vlfusion.cli import main
from vlfusion.data import PairDataset
from vlfusion.data.hdf5 import write_hdf5
from vlfusion.data.packed import PackedPairDataset, write_packed
from vlfusion.engine.runner import build_runner
from vlfusion.errors import ConfigError, DataError
from vlfusion.inference.export import FORMATS, ExportError, export_model
from vlfusion.inference.fuser import Fuser
from vlfusion.models import FusionModel, map_inputs
from vlfusion.registry import BACKBONES, LOSSES, snapshot
from vlfusion.testing import check_backbone, survey_backbone

LOAD, PACK = [dict(type='LoadPair')], [dict(type='PackPair')]
MAPS = dict(mask='masks', confidence='near/{name}_c.png')


class Masked(nn.Module):
    """Source A within the mask and source B elsewhere; where confidence is given, scaled by it."""

    maps, halo = ('mask', 'confidence'), 0

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, source_a, source_b, text=None, text_mask=None, confidence=None, *, mask):
        fused = self.scale.sigmoid() * (mask * source_a + (1 - mask) * source_b)
        return fused if confidence is None else fused * confidence


class Weightless(Masked):
    def __init__(self):
        nn.Module.__init__(self)
        self.scale = torch.ones(())


class Average(nn.Module):
    def forward(self, source_a, source_b, text=None, text_mask=None):
        return (source_a + source_b) / 2


class MaskedLoss(nn.Module):
    weight = 1.0

    def forward(self, fused, source_a, source_b, mask):
        return (mask * (fused - source_a)).abs().mean()


@pytest.fixture(autouse=True)
def registered():
    undo = snapshot()
    for network in (Masked, Weightless):
        BACKBONES.register_module(module=network)
    LOSSES.register_module(module=MaskedLoss)
    yield
    undo()


@pytest.fixture
def root(tmp_path):
    """Two square pairs; the mask is the inverse of source A, the confidence half of source B."""
    random = np.random.default_rng(0)
    for name in '12':
        a, b = random.integers(0, 128, (2, 12, 12), np.uint8) * 2
        for place, image in ((f'ir/{name}', a), (f'vi/{name}', b), (f'masks/{name}', 255 - a),
                             (f'near/{name}_c', b // 2)):
            (tmp_path / place).parent.mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / f'{place}.png'), image)
    return tmp_path


def build(root, pipeline=LOAD + PACK, maps=MAPS, **options):
    return PairDataset('ivf', root, 'ir', 'vi', pipeline=pipeline, maps=maps, **options)


def test_a_sample_carries_each_map_as_grey_levels(root):
    dataset = build(root)
    sample = dataset[1]
    assert list(sample)[3:] == ['source_a', 'source_b', 'mask', 'confidence']
    torch.testing.assert_close(sample['mask'], 1 - sample['source_a'])
    torch.testing.assert_close(sample['confidence'], sample['source_b'] / 2)
    assert {path.name for path in dataset.files()} == {'1.png', '2.png', '1_c.png', '2_c.png'}


@pytest.mark.parametrize('step', [
    dict(type='RandomCrop', size=(8, 8)), dict(type='RandomFlip', prob=0.5), dict(type='RandomRotate90'),
    dict(type='FilmResize', size=(9, 10)), dict(type='Resize', scale=(7, 9))], ids=lambda step: step['type'])
def test_maps_go_through_augmentation_with_their_sources(root, step):
    dataset = build(root, [*LOAD, dict(type='BothSources', transforms=[step]), *PACK])
    for _ in range(4):
        sample = dataset[0]
        torch.testing.assert_close(sample['mask'], 1 - sample['source_a'])
        torch.testing.assert_close(sample['confidence'], sample['source_b'] / 2)


def test_faulty_maps_are_named(root):
    cv2.imwrite(str(root / 'masks/2.png'), np.zeros((5, 6), np.uint8))
    with pytest.raises(DataError, match=r'2: .*masks/2.png is 6x5'):
        build(root)
    with pytest.raises(DataError, match=r'differ in size \(h, w\): .*masks/2.png is \(5, 6\)'):
        build(root, check=False)[1]
    (root / 'masks/2.png').unlink()
    with pytest.raises(DataError, match=r'ir/2.png .* has no partner in the map mask \(masks\)'):
        build(root)


def test_names_and_subsets_of_maps(root):
    for name in ('source_a', 'text_mask', 'in-struction'):
        with pytest.raises(ConfigError, match=f'No map can be called {name!r}'):
            build(root, maps={name: 'masks'})
    np.save(root / 'text.npy', np.zeros((1, 2), np.float32))
    with pytest.raises(ConfigError, match="'mask' is both a text and a map"):
        build(root, text_source=dict(mask=dict(files='text.npy')))
    pair = dict(source_a='ir', source_b='vi')
    [*_, last] = PairDataset('ivf', root, pipeline=LOAD + PACK, subsets=dict(x=pair | dict(maps=dict(mask='masks'))))
    assert last['name'] == 'x/2' and last['mask'].shape == (1, 12, 12)
    with pytest.raises(DataError, match='The subsets y have no mask, but the others have one'):
        PairDataset('ivf', root, subsets=dict(x=pair | dict(maps=dict(mask='masks')), y=pair))
    with pytest.raises(ConfigError, match='or subsets alone'):
        PairDataset('ivf', root, subsets=dict(x=pair), maps=MAPS)


def test_packed_samples_are_equal_and_hdf5_refuses(root, tmp_path):
    augment = [dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(8, 8))])]
    source = build(root)
    path = tmp_path / 'x.safetensors'
    stored = write_packed(path, list(source), 'ivf')
    assert stored['mask'] == stored['confidence'] == 'uint8'
    packed = PackedPairDataset(path, pipeline=PACK)
    assert packed.maps == list(MAPS) and not packed.text_dims
    for sample, expected in zip(list(packed), list(source), strict=True):
        assert list(sample) == list(expected)
        assert all(torch.equal(sample[key], expected[key]) for key in ('source_a', 'source_b', *MAPS))
    sample = PackedPairDataset(path, pipeline=augment + PACK)[0]
    torch.testing.assert_close(sample['mask'], 1 - sample['source_a'])
    with pytest.raises(DataError, match='no place for mask and confidence'):
        write_hdf5(tmp_path / 'x.h5', [source[0]])


def test_a_packed_file_whose_maps_cannot_be_read(root, tmp_path):
    path = tmp_path / 'x.safetensors'
    write_packed(path, list(build(root)), 'ivf')
    content = path.read_bytes()
    for old, new, problem in ((b'["mask\\"', b'["name\\"', "map called 'name'"),
                              (b'"mask/1"', b'"mesk/1"', '1 has no mask')):
        path.write_bytes(content.replace(old.replace(b'["', b'[\\"'), new.replace(b'["', b'[\\"')))
        with pytest.raises(DataError, match=problem):
            PackedPairDataset(path, pipeline=PACK)


def test_backbones_and_losses_get_the_maps_that_they_name(root):
    sample = default_collate(list(build(root)))
    model = FusionModel(dict(type='Masked'), [dict(type='MaskedLoss')], margin=3)
    assert map_inputs(model.backbone) == dict(mask=True, confidence=False)
    fused = model.eval()(**sample)
    a, b, mask = sample['source_a'], sample['source_b'], sample['mask']
    half = torch.ones(()).sigmoid() * (mask * a + (1 - mask) * b)
    torch.testing.assert_close(fused, half * sample['confidence'])
    terms = model.train()(**sample, mode='loss')
    torch.testing.assert_close(terms['masked'], (mask * (fused - a)).abs().mean())
    torch.testing.assert_close(model(a, b, mask=mask), half)
    with pytest.raises(DataError, match="Masked needs the map 'mask' .*\n.*maps=dict\\(mask='FOLDER'\\)"):
        model(a, b)
    with pytest.raises(DataError, match="MaskedLoss needs 'mask' of every pair"):
        model.terms(fused, a, b)


def test_the_kit_draws_maps_and_leaves_optional_ones_out():
    check_backbone(Masked())
    assert 'optional: confidence' in {outcome.detail for outcome in survey_backbone(Masked())}

    class Insisting(Masked):
        def forward(self, source_a, source_b, text=None, text_mask=None, confidence=None, *, mask):
            return super().forward(source_a, source_b, confidence=confidence + 0, mask=mask)
    with pytest.raises(TypeError):
        check_backbone(Insisting())


def test_training_refuses_data_without_a_required_map(root, toy):
    config = toy()
    config.model, config.text_source, config.data_root = dict(type='FusionModel', backbone=dict(type='Masked'),
                                                              losses=[dict(type='MaskedLoss')]), None, str(root)
    for split in ('train', 'val', 'test'):
        config[f'{split}_dataloader'].dataset = dict(type='PairDataset', task='ivf', source_a='ir', source_b='vi',
                                                     pipeline=LOAD + PACK)
    with pytest.raises(ConfigError, match="reads the map 'mask', .*\n.*train_dataloader.dataset.maps=dict"):
        build_runner(config, 'train')


@pytest.fixture
def checkpoint(toy, tmp_path):
    """A config of the network, which has no weights to load."""
    config = toy()
    config.model = dict(type='FusionModel', backbone=dict(type='Weightless'))
    config.text_source, config.protocol = None, 'plain'
    path = tmp_path / 'masked.py'
    config.dump(path)
    return path


def test_a_fuser_reads_maps_from_memory_and_files(root, checkpoint):
    fuser, pictures = Fuser(checkpoint), [root / f'{folder}/1.png' for folder in ('ir', 'vi', 'masks')]
    a, b, mask = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) / 255 for path in pictures)
    expected = np.rint(255 * (mask * a + (1 - mask) * b) / (1 + np.exp(-1)))
    assert np.abs(fuser(*pictures[:2], maps=dict(mask=pictures[2])).grey.astype(float) - expected).max() <= 1
    assert np.array_equal(fuser(*pictures[:2], maps=dict(mask=(255 * mask).astype(np.uint8))).grey,
                          fuser(*pictures[:2], maps=dict(mask=pictures[2])).grey)
    with pytest.raises(ConfigError, match="reads the map 'mask', the map 'confidence', but 'mask' is not given"):
        fuser(*pictures[:2])
    with pytest.raises(ConfigError, match="but a map 'masc' is given.\n.*Did you mean mask"):
        fuser(*pictures[:2], maps=dict(masc=mask))
    with pytest.raises(DataError, match="The map 'mask' is 5x4, but its sources are 12x12"):
        fuser(*pictures[:2], maps=dict(mask=np.zeros((4, 5))))
    del fuser.model.backbone
    fuser.model.backbone = Average()
    with pytest.raises(ConfigError, match="reads no maps, but a map 'mask' is given"):
        fuser(*pictures[:2], maps=dict(mask=mask))


def test_folders_are_fused_with_maps_in_batches_and_in_tiles(root, checkpoint, tmp_path, capsys):
    command = ['fuse', str(checkpoint), str(root / 'ir'), str(root / 'vi')]
    masks = ['--map', f'mask={root / "masks"}']
    for name, more in (('one', []), ('batch', ['--batch-size', '2']),
                       ('tiles', ['--tiles', 'exact', '--tile-size', '5'])):
        assert main([*command, *masks, '-o', str(tmp_path / name), *more]) == 0
        for pair in '12':
            assert np.array_equal(cv2.imread(str(tmp_path / f'one/{pair}.png')),
                                  cv2.imread(str(tmp_path / f'{name}/{pair}.png')))
    assert main([*command, '-o', str(tmp_path / 'none')]) == 2
    assert "'mask' is not given" in capsys.readouterr().err
    single = [str(root / f'{folder}/1.png') for folder in ('ir', 'vi')]
    assert main(['fuse', str(checkpoint), *single, '--map', f'mask={root / "masks/1.png"}',
                 '-o', str(tmp_path / 'single.png')]) == 0
    assert np.array_equal(cv2.imread(str(tmp_path / 'single.png')), cv2.imread(str(tmp_path / 'one/1.png')))


def test_a_map_that_is_an_output_is_refused(root, checkpoint, capsys):
    single = [str(root / f'{folder}/1.png') for folder in ('ir', 'vi', 'masks')]
    before = (root / 'masks/1.png').read_bytes()
    assert main(['fuse', str(checkpoint), *single[:2], '--map', f'mask={single[2]}', '-o', single[2]]) == 2
    assert (root / 'masks/1.png').read_bytes() == before and capsys.readouterr().err


@pytest.mark.parametrize(('wrong', 'said'), [
    (['--map', 'mask'], 'expected NAME=DIR'), (['--map', 'mask=a', '--map', 'mask=b'], 'mask is given twice')])
def test_maps_on_the_command_line_have_a_name_each(wrong, said, checkpoint, capsys):
    with pytest.raises(SystemExit):
        main(['fuse', str(checkpoint), 'ir', 'vi', '-o', 'out', *wrong])
    assert said in capsys.readouterr().err


def test_a_network_that_needs_a_map_is_not_exported(checkpoint, tmp_path):
    with pytest.raises(ExportError, match='reads the maps mask, for which an exported file has no input'):
        export_model(checkpoint, tmp_path / 'x.pt2', next(iter(FORMATS)))
    assert not (tmp_path / 'x.pt2').exists()
