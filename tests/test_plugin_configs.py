"""Every config of every plugin is read and builds its model; each takes one step on toy pairs laid out as it says."""

import ast
import re
from collections.abc import Iterator, Mapping
from configparser import ConfigParser

import pytest
from test_configs import OPTIONS, ROOT, lay_out

from vlfusion import plugins
from vlfusion.config import load_config
from vlfusion.engine.runner import build_runner
from vlfusion.testing.toys import TINY

CONFIGS = sorted(ROOT.glob('plugins/*/configs/*.py'))
INSTALLED = {plugin.package for plugin in plugins.found()}
#: Configs whose step needs what toy pairs cannot give (another network's weights, a description, single images): the
#: tests of their own plugin, or of the swaps, lay it out and take the step.
ELSEWHERE = {'autofuse_views', 'cddfuse_film_losses_med', 'clip_directional_roadscene', 'clipmamba_spect_text',
             'controlfusion_adapter_roadscene', 'controlfusion_ivf_sample', 'controlfusion_roadscene', 'densefuse_coco',
             'dtpf_ivf', 'dtpf_ivf_sample', 'dtpf_mif', 'dtpf_teacher_ivf', 'dtpf_teacher_ivf_sample',
             'dtpf_teacher_mif', 'gifnet', 'gifnet_ivf_sample', 'hpfusion_ivf', 'hpfusion_ivf_sample', 'ifcnn_mff_nyud',
             'ifcnn_mff_sample', 'ldfusion_roadscene', 'lutfuse_ivf', 'mufusion_ivf', 'mufusion_mef',
             'mufusion_mef_sample', 'mufusion_mff', 'mufusion_mif', 'nlgfusion_described', 'nlgfusion_ivf',
             'nlgfusion_ivf_sample', 'risfusion_ivf_sample', 'risfusion_roadscene', 'textfusion_ivf',
             'textfusion_ivf_sample', 'textif_roadscene', 'textif_roadscene_small', 'u2fusion_mef_sice'}
#: Networks that are slow at their real size.
SMALL = {'cddfuse': {'dim': 16, 'blocks': 1}, 'clipmamba': {'dim': 16, 'states': 2}, 'didfuse': {'dim': 8},
         'textdifuse': {'steps': 2, 'dim': 8, 'widths': (1, 3, 2), 'blocks': 1, 'attention': (1, 2), 'groups': 4}}


def parts(config) -> Iterator[dict]:
    """Every dict within a config."""
    for value in config.values() if isinstance(config, Mapping) else config:
        if isinstance(value, Mapping):
            yield value
        if isinstance(value, Mapping | list | tuple):
            yield from parts(value)


def shrink(config, plugin):
    """Toy pairs are 72x80; networks and batches are made small, the rest stays what the config says."""
    for part in parts(config._cfg_dict):
        if part.get('type') in ('RandomCrop', 'vlfusion_cddfuse.PatchDataset'):
            part['size'] = 64 if part['type'].endswith('PatchDataset') else (64, 64)
        if part.get('type') == 'Resize':
            part['scale'] = (64, 64)
    if plugin in SMALL:
        config.model.backbone.update(SMALL[plugin])


@pytest.mark.slow
@pytest.mark.parametrize('path', [path for path in CONFIGS if path.stem not in ELSEWHERE], ids=lambda path: path.stem)
def test_a_config_of_a_plugin_takes_one_step(path, tmp_path):
    plugin = path.parts[-3]
    pytest.importorskip(f'vlfusion_{plugin.removesuffix("_fusion")}', reason=f'pip install --editable plugins/{plugin}')
    options = {'data_root': str(tmp_path / 'data'), 'work_dir': str(tmp_path / 'work'),
               **{key: value for key, value in {**TINY, **OPTIONS}.items() if not key.startswith('model')}}
    config = load_config(path)
    tests_only = 'optim_wrapper' not in config
    if tests_only:
        options = {key: value for key, value in options.items() if not key.startswith(('train', 'val', 'optim'))}
    config.merge_from_dict(options)
    shrink(config, plugin)
    lay_out(config, tmp_path / 'data')
    runner = build_runner(config, 'test' if tests_only else 'train')
    if tests_only:
        assert runner.test()
    else:
        runner.train()
        assert (tmp_path / 'work/iter_1.pth').is_file()


def names_in(path) -> set[str]:
    """The configs that a test names in a string, and all of its plugin where it goes through their folder."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    calls = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    whole = any(re.fullmatch(r"\(.*'configs'\)\.glob\('\*\.py'\)", call) for call in calls)
    every = {config.stem for config in path.parents[1].glob('configs/*.py')} if whole else set()
    return every | {text.removesuffix('.py').rpartition('/')[2] for text in strings}


@pytest.mark.parametrize('stem', sorted(ELSEWHERE))
def test_another_test_takes_the_step_of_each_other_config(stem):
    [config] = [path for path in CONFIGS if path.stem == stem]
    tests = [*config.parents[1].glob('tests/test_*.py'), ROOT / 'tests/test_swaps.py']
    assert any(stem in names_in(path) for path in tests), f'No test takes a step of {stem}.'


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_of_a_plugin_says_what_it_is(path):
    head = path.read_text().split('"""')[1]
    assert 'Command' in head and 'Expected:' in head, path


@pytest.mark.parametrize('folder', sorted(ROOT.glob('plugins/*/configs')), ids=lambda folder: folder.parent.name)
def test_a_plugin_ships_its_configs(folder):
    """`tests/test_config_names.py` builds the wheel of one; the others say the same in their setup.cfg."""
    said = ConfigParser()
    said.read(folder.with_name('setup.cfg'))
    [package] = (path.name for path in folder.parent.glob('vlfusion_*') if path.is_dir() and 'egg' not in path.suffix)
    assert said['options']['packages'].split() == [package, f'{package}.configs']
    assert said['options']['package_dir'].split() == [f'{package}.configs', '=', 'configs']
    if (folder / '_base_').is_dir():
        assert said['options.package_data'][f'{package}.configs'] == '_base_/*.py'
    assert {path.parent.name for path in folder.rglob('*.py')} <= {'configs', '_base_'}
