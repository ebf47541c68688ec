"""Methods are folders of foreign images, models, and several trainings of one."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from comparing import NAMES, scores, toy, write_config

from vlfusion.cli import main
from vlfusion.evaluation import score_folder
from vlfusion.testing.toys import draw_pairs


@pytest.mark.slow
def test_a_folder_of_foreign_images(compare, tmp_path, capsys):
    foreign = tmp_path / 'theirs'
    draw_pairs(foreign, [Path(name).name for name in NAMES], 'x', 'fused', seed=5)
    write_config(tmp_path / 'b.py', {'Theirs': dict(fused='theirs/fused'), 'Mean': toy('ToyMean')},
                 metrics=['EN', 'Qabf'])
    assert main(['benchmark', 'b.py', '--out', 'out', '--no-report']) == 0
    known = {row['name']: row for row in score_folder('theirs/fused', 'data/ir/s', 'data/vi/s',
                                                      metrics=['EN', 'Qabf']).rows}
    for row in scores(Path('out'), method='Theirs', metric='Qabf:film'):
        assert float(row['value']) == known[row['name']]['Qabf:film']
    (foreign / 'fused/p2.png').unlink()
    (foreign / 'fused/p4.png').unlink()
    capsys.readouterr()
    assert main(['benchmark', 'b.py', '--out', 'out']) == 2
    said = capsys.readouterr().err
    assert '2 fused pictures are missing' in said and 'p2.* is missing' in said and 'p4.* is missing' in said
    write_config(tmp_path / 'b.py', {'Theirs': dict(fused='theirs/fused/{name}.png')}, dataset=dict(only='p[01]'))
    assert main(['benchmark', 'b.py', '--out', 'out', '--no-report', '--cfg-options', "metrics=['EN']"]) == 0
    cv2.imwrite('theirs/fused/p0.png', np.zeros((4, 4), np.uint8))
    assert main(['benchmark', 'b.py', '--out', 'out', '--no-report']) == 1
    assert 'Theirs failed' in capsys.readouterr().err


@pytest.mark.slow
def test_a_folder_whose_files_share_a_suffix(compare, tmp_path, capsys):
    draw_pairs(tmp_path / 'theirs', [f'{Path(name).name}_fused' for name in NAMES], 'x', 'fused', seed=5)
    out = compare({'Theirs': dict(fused='theirs/fused'), 'Mean': toy('ToyMean')})
    assert 'All names of Theirs (theirs/fused) end in _fused: pairing without it.' in capsys.readouterr().err
    assert [row['name'] for row in scores(out, method='Theirs', metric='EN')] == [f'p{index}' for index in range(6)]


@pytest.mark.slow
def test_seeds_and_several_trainings_are_averaged(compare, toys, tmp_path):
    out = compare({'Chance': toy('ToyChance'), 'Mean': toy('ToyMean')}, seeds=[0, 1])
    each = [float(row['value']) for row in scores(out, method='Chance', name='p1', metric='EN')]
    assert len(each) == 2 and each[0] != each[1]
    held = json.loads((out / 'leaderboards/Toy.json').read_text())['metrics']['EN']['means']['Chance']
    every = [float(row['value']) for row in scores(out, method='Chance', metric='EN')]
    assert held == pytest.approx(np.mean(every)) and len(every) == 12
    other = torch.load('conv.pth')
    other['state_dict']['backbone.conv.weight'] *= -1
    torch.save(other, 'other.pth')
    out = compare({'Conv': dict(checkpoint=['conv.pth', 'other.pth'])})
    assert {row['repeat'] for row in scores(out)} == {'conv.pth, seed 0', 'other.pth, seed 0'}
