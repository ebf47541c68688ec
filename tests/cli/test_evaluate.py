"""`vlfusion evaluate` from the command line to the files; what is scored, and how, is in evaluation/test_folder.py."""

import csv
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from vlfusion.cli import main
from vlfusion.evaluation import folder
from vlfusion.imaging.images import luminance, read_image
from vlfusion.registry import FUSION_METRICS
from vlfusion.testing.toys import draw_pairs


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working folder, with three pairs and their maxima as fused images."""
    draw_pairs(tmp_path, ['p0', 'p1', 'p2'])
    (tmp_path / 'fused').mkdir()
    for name in ('p0', 'p1', 'p2'):
        a, b = (luminance(read_image(tmp_path / source / f'{name}.png')) for source in ('ir', 'vi'))
        cv2.imwrite(str(tmp_path / f'fused/{name}.png'), np.round(255 * np.maximum(a, b)).astype(np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluate(*options):
    return main(['evaluate', 'fused', '--source-a', 'ir', '--source-b', 'vi', '--out', 'out/mine.csv', *options])


@pytest.mark.slow
def test_files_and_tables(place, capsys):
    assert evaluate('--task', 'ivf', '--controls', '--workers', '2') == 0
    printed = capsys.readouterr().out
    assert '3 images, protocol film.1' in printed and 'EN ↑ (bit)' in printed and 'not finite' not in printed
    assert 'noisy mean' in printed and printed.endswith('Wrote out/mine.csv, out/mine.controls.csv, out/mine.json.\n')
    with open('out/mine.csv') as file:
        rows = list(csv.DictReader(file))
    assert [row['name'] for row in rows] == ['p0', 'p1', 'p2']
    assert list(rows[0]) == ['name', 'protocol', 'EN', 'SD', 'SF', 'AG', 'VIF', 'Qabf:film']
    with open('out/mine.controls.csv') as file:
        maxima = [row for row in csv.DictReader(file) if row.pop('control') == 'maximum']
    assert maxima == rows, 'the fused images are the maxima'
    record = json.loads((place / 'out/mine.json').read_text())
    assert record['task'] == 'ivf' and record['inputs']['fused']['folder'] == 'fused'


def test_options_reach_the_scores(place, capsys):
    (place / 'truth').mkdir()
    for name in ('p0', 'p1', 'p2'):
        cv2.imwrite(f'truth/{name}_t.png', read_image(f'vi/{name}.png'))
    assert evaluate('--metrics', 'Qmi', 'MI:tang', '--protocol', 'plain', '--truth', 'truth/{name}_t.*',
                    '--truth-metrics', 'SSIM') == 0
    with open('out/mine.csv') as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ['name', 'protocol', 'Qmi', 'MI:tang', 'truth/SSIM'] and rows[0]['protocol'] == 'plain.1'


def test_what_is_not_finite_is_listed(place, capsys):
    cv2.imwrite('fused/p1.png', np.full((48, 56), 7, np.uint8))
    assert evaluate('--metrics', 'EN', 'CC') == 0
    printed = capsys.readouterr().out
    assert '1 of 3' in printed
    assert '1 value is not finite:\n    p1: CC is nan: the fused image is constant\n' in printed


@pytest.mark.slow
def test_all_metrics_of_small_images(place, capsys):
    for name in ('p0', 'p1', 'p2'):
        (place / f'fused/{name}.png').rename(place / f'fused/{name}_fused.png')
    assert evaluate('--metrics', 'all') == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-3:-1] == ['All names of the fused folder (fused) end in _fused: pairing without it.',
                           'Not scored: MS_SSIM of all 3 images (MS_SSIM expects images of at least 176x176 pixels, '
                           'but got 48x56 (height x width)).']
    with open('out/mine.csv') as file:
        rows = list(csv.DictReader(file))
    assert [row['MS_SSIM'] for row in rows] == [''] * 3 and all(row['VIF'] for row in rows)
    assert main(['leaderboard', 'A=out/mine.csv', 'B=out/mine.csv']) == 0, 'what is empty has no column'
    assert '| MS_SSIM ↑ |' not in capsys.readouterr().out


def test_nothing_is_written_where_a_file_is_damaged(place, capsys):
    (place / 'vi/p1.png').write_bytes(b'no image')
    assert evaluate('--metrics', 'EN') == 2
    error = capsys.readouterr().err
    assert 'vi/p1.png' in error and '->' in error and not (place / 'out').exists()


def test_an_interruption_writes_nothing(place, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt
    monkeypatch.setattr(folder, 'find_files', interrupted)
    assert evaluate() == 130
    assert 'Stopped by SIGINT' in capsys.readouterr().err and not (place / 'out').exists()


@pytest.mark.parametrize(('options', 'message'), [
    (['--metrics', 'VIFG'], 'Did you mean VIF?'),
    (['--metrics', 'MI:flim'], 'Did you mean film?'),
    (['--protocol', 'plane'], 'Did you mean plain?'),
    (['--task', 'ivg'], 'Did you mean ivf?'),
    (['--truth-metrics', 'PSNR'], 'there is no --truth'),
    (['--truth', 'nowhere'], 'no image of the truth fits nowhere/{name}.*'),
    (['--out', 'mine.txt'], 'ends in .csv'),
    (['--out', 'fused/p0.png/mine.csv'], 'cannot be written there'),
    (['--out', 'taken.csv'], 'taken.json is a folder'),
])
def test_mistakes_are_answered_with_a_remedy_and_exit_code_2(place, capsys, options, message):
    (place / 'taken.json').mkdir()
    assert evaluate(*options) == 2
    error = capsys.readouterr().err
    assert message in error and '->' in error and 'Traceback' not in error


def test_the_page_works(tmp_path, monkeypatch, request, capsys):
    """The lines and the command of docs/howto/score.md, on pairs drawn here."""
    page = (request.config.rootpath / 'docs/howto/score.md').read_text()
    draw_pairs(tmp_path / 'TNO', ['p0', 'p1'])
    monkeypatch.chdir(tmp_path)
    exec(page.partition('```python\n')[2].partition('```')[0], {})
    command, *_ = (line.split() for line in page.splitlines() if line.startswith('    vlfusion '))
    assert main(command[1:]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] in page.splitlines()
    for heading in ('┃ metric ', '┃ mean of '):
        assert [line for line in printed.splitlines() if line.startswith(heading)]


@pytest.mark.slow
def test_the_script_is_the_verb(place, request):
    command = [sys.executable, str(request.config.rootpath / 'tools/evaluate.py'), 'fused', '--source-a', 'ir',
               '--source-b', 'vi', '--metrics', 'EN', '--out', 'mine.csv']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and 'EN ↑ (bit)' in done.stdout, done.stderr
    assert (place / 'mine.csv').exists()
    assert all(line.startswith('scoring: ') for line in done.stderr.splitlines()), done.stderr


def test_metrics_of_a_module_on_the_path(place, monkeypatch):
    (place / 'brightness_of_a_test.py').write_text("""
from vlfusion.metrics import fusion_metric

@fusion_metric(title='Brightness', direction='higher', range=(0., 255.), over='none', source='the mean')
def Brightness(fused, source_a, source_b):
    return fused.mean((1, 2, 3))
""")
    monkeypatch.syspath_prepend(place)
    try:
        assert evaluate('--import', 'brightness_of_a_test', '--metrics', 'Brightness') == 0
    finally:
        FUSION_METRICS._module_dict.pop('brightness_of_a_test.Brightness', None)
        sys.modules.pop('brightness_of_a_test', None)
    with open('out/mine.csv') as file:
        rows = {row['name']: float(row['Brightness']) for row in csv.DictReader(file)}
    assert rows['p0'] == pytest.approx(cv2.imread('fused/p0.png', cv2.IMREAD_GRAYSCALE).mean())


def test_controls_of_an_earlier_run_do_not_stay(place):
    assert evaluate('--controls', '--metrics', 'EN') == 0
    assert (place / 'out/mine.controls.csv').is_file()
    assert evaluate('--metrics', 'EN') == 0
    assert not (place / 'out/mine.controls.csv').exists()


def test_a_range_reaches_the_scores_and_the_record(place):
    for name in ('p0', 'p1', 'p2'):
        image = read_image(f'ir/{name}.png')
        cv2.imwrite(f'ir/{name}.png', 7000 + 5 * image.astype(np.uint16))
    values = {}
    for given in ([], ['--range-a=7000,8275']):
        assert evaluate('--metrics', 'VIF', *given) == 0
        record = json.loads((place / 'out/mine.json').read_text())
        values[bool(given)] = record['summary']['VIF']['mean']
        assert record['inputs']['source_a'].get('reading') == ('range=7000,8275' if given else None)
        assert 'reading' not in record['inputs']['source_b']
    assert values[True] != values[False]
