"""`vlfusion list`, and modules of one's own in the current folder for the verbs that look names up."""

import sys

import pytest

from vlfusion.cli import main
from vlfusion.config import load_config
from vlfusion.errors import ConfigError
from vlfusion.imaging.protocol import PROTOCOLS
from vlfusion.registry import FUSION_METRICS, snapshot

METRIC = """
from vlfusion.metrics import fusion_metric

@fusion_metric(title='Brightness of {0}', direction='higher', range=(0., 255.), over='none', source='the mean')
def {0}(fused, source_a, source_b):
    @DOC@
    return fused.mean((1, 2, 3))
""".replace('@DOC@', '"""The mean grey level."""')


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder; what is registered in it goes afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', sys.path.copy())
    undo = snapshot()
    yield tmp_path
    undo()


def listed(capsys, *words):
    capsys.readouterr()
    assert main(['list', *words]) == 0
    return capsys.readouterr().out


def test_every_entry_has_its_line(capsys):
    lines = [line.strip() for line in listed(capsys).splitlines()]
    assert any(line.startswith('backbone (') for line in lines)
    for start in ('FILM  ', 'SSIMLoss  ', 'MeasuredCaptioner  ', 'FusionEvaluator  '):
        [line] = [line for line in lines if line.startswith(start)]
        assert len(line.removeprefix(start).strip()) > 20
    assert any(line.startswith('VIF ') and 'isual information fidelity' in line for line in lines)
    assert lines[-1].startswith('vlfusion list KIND')


@pytest.mark.parametrize(('words', 'kinds'), [
    (['backbones'], ['backbone']), (['LOSSES'], ['loss']), (['text-encoders'], ['text encoder']),
    (['text', 'encoder'], ['text encoder']), (['encoders'], ['text encoder']),
    (['metrics'], ['fusion metric', 'truth metric', 'metric']), (['prompts'], ['prompt']), (['tasks'], ['task']),
    (['losses', 'ssim', 'wang'], ['loss']), (['LPIPS'], ['truth metric']),
])
def test_kinds_are_named_in_singular_or_plural_and_words_filter(words, kinds, capsys):
    lines = listed(capsys, *words).splitlines()
    assert [line.rpartition(' (')[0] for line in lines if not line.startswith((' ', 'plugin '))] == kinds


def test_configs_protocols_and_prompts_are_listed(here, capsys):
    (here / 'configs/mine').mkdir(parents=True)
    (here / 'configs/mine/own.py').write_text('"""Mine, for trying. More."""\n')
    (here / 'configs/mine/broken.py').write_text('(')
    out = listed(capsys, 'configs')
    lines = {name: words for name, _, words in (line.strip().partition('  ') for line in out.splitlines())}
    assert lines['configs/mine/own.py'].strip() == 'Mine, for trying.'
    assert lines['configs/mine/broken.py'].strip() == 'It cannot be read.'
    assert 'FILM' in lines['film/film_mif'] and '_base_/runtime' in lines
    out = listed(capsys, 'protocols')
    assert all(f'  {name} ' in out for name in PROTOCOLS) and 'stretch min-max' in out
    out = listed(capsys, 'prompts')
    assert 'pair@1' in out and 'both images of a pair' in out and 'JSON of things' in out


def test_what_is_not_there_is_answered(capsys):
    assert main(['list', 'backbones', 'zzz']) == 2
    assert 'No backbone has zzz' in capsys.readouterr().err
    assert main(['list', 'configz']) == 2
    assert 'Did you mean config?' in capsys.readouterr().err


def test_modules_of_the_current_folder_are_found(here, capsys):
    (here / 'glow_here.py').write_text(METRIC.format('GlowHere'))
    assert 'Brightness of GlowHere' in listed(capsys, 'metrics', 'glowhere', '--import', 'glow_here')
    assert main(['metrics', 'GlowHere', '--import', 'glow_here']) == 0
    assert 'Brightness of GlowHere' in capsys.readouterr().out
    assert main(['check-plugin', '--import', 'glow_here']) == 0
    out = capsys.readouterr().out
    assert 'modules glow_here' in out and 'GlowHere' in out and 'Nothing fails.' in out


def test_a_config_finds_its_custom_imports_in_the_current_folder(here):
    (here / 'glow_there.py').write_text(METRIC.format('GlowThere'))
    (here / 'glow.py').write_text("custom_imports = dict(imports=['glow_there'])\n")
    load_config('glow.py')
    assert 'GlowThere' in FUSION_METRICS
    (here / 'no.py').write_text("custom_imports = dict(imports=['not_here_at_all'])\n")
    with pytest.raises(ConfigError, match='not_here_at_all'):
        load_config('no.py')


def test_the_current_folder_hides_no_installed_module(here):
    (here / 'yaml.py').write_text('raise SystemExit(1)')
    (here / 'glow_last.py').write_text('import yaml\n' + METRIC.format('GlowLast'))
    assert main(['metrics', 'GlowLast', '--import', 'glow_last']) == 0


@pytest.mark.parametrize('arguments', [[], ['hello', '--import', 'x']])
def test_check_plugin_takes_a_plugin_or_modules(arguments, capsys):
    assert main(['check-plugin', *arguments]) == 2
    assert 'either a plugin or --import' in capsys.readouterr().err
