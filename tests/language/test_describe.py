"""`vlfusion describe` on a real config with drawn pairs."""


import cv2
import numpy as np
import pytest

from vlfusion.cli import main
from vlfusion.language.keys import Content, Keys
from vlfusion.language.store import TextStore
from vlfusion.language.subjects import image_digest

CONFIG = '''
data_root = '{root}/data'
task = 'ivf'
language = dict(store='{root}/text', captioners=[dict(type='MeasuredCaptioner')], llm=dict(type='TemplateLLM'),
                prompt='paragraph', encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
text_source = dict(stream='pair/paragraph')
train_dataloader = dict(dataset=dict(type='PairDataset', source_a='train/ir', source_b='train/vi',
                                     pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = dict(dataset=dict(type='PairDataset', source_a='test/ir', source_b='test/vi', pipeline=[]))
'''


@pytest.fixture
def config(tmp_path, encoder, monkeypatch):
    """A config of two pairs to train on and one to test; its encoder is the loaded one."""
    generator = np.random.default_rng(0)
    for file in ('train/ir/a', 'train/vi/a', 'train/ir/b', 'train/vi/b', 'test/ir/c', 'test/vi/c'):
        path = tmp_path / 'data' / f'{file}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), generator.integers(0, 256, (40, 40), dtype=np.uint8))
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(root=tmp_path))
    monkeypatch.setattr('vlfusion.language.pipeline.DescriptionPipeline.encoder', encoder)
    return path


def stored(config) -> int:
    return len(list((config.parent / 'text/features').rglob('*.json')))


@pytest.mark.slow
def test_every_image_of_every_split(config, capsys):
    assert main(['describe', str(config)]) == 0
    said = capsys.readouterr().out
    assert '6 of 6 images described, 0 described before, 0 failed.' in said
    assert f'The text store is {config.parent}/text.' in said
    assert 'For example a.png (infrared): This small square image is of the infrared kind.' in said
    assert stored(config) == 6
    assert main(['describe', str(config)]) == 0
    assert '0 of 6 images described, 6 described before, 0 failed.' in capsys.readouterr().out


def test_features_are_where_training_looks(config):
    main(['describe', str(config), '--split', 'test'])
    from vlfusion.config import load_config
    language, image = load_config(config).language, config.parent / 'data/test/vi/c.png'
    key = Keys(language).feature(Content(image_digest(image), 'visible'))
    assert TextStore(language['store']).features(key).shape[1] == 384


def test_split_limit_and_overrides(config, capsys):
    assert main(['describe', str(config), '--split', 'train', '--limit', '3',
                 '--cfg-options', f'language.store={config.parent}/other']) == 0
    assert '3 of 3 images described' in capsys.readouterr().out
    assert len(list((config.parent / 'other/features').rglob('*.json'))) == 3


@pytest.mark.slow
def test_a_failing_image_gives_exit_code_one(config, capsys):
    image = config.parent / 'data/train/vi/b.png'
    image.write_bytes(image.read_bytes()[:100])
    assert main(['describe', str(config)]) == 1
    said = capsys.readouterr().out
    assert '5 of 6 images described, 0 described before, 1 failed.' in said
    assert str(image) in said.partition('Failed:')[2]


@pytest.mark.parametrize(('cut', 'arguments', 'message'), [
    (('language = dict(', 'nothing = dict('), (), 'has no language section'),
    (("prompt='paragraph', ", ''), (), "no 'prompt'"), (('', ''), ('--split', 'val'), 'no val_dataloader')])
def test_what_is_missing_is_named(config, capsys, cut, arguments, message):
    config.write_text(config.read_text().replace(*cut))
    assert main(['describe', str(config), *arguments]) == 2
    assert message in capsys.readouterr().err
