"""Files of a comparison: copies, names, the report, LaTeX, and what an earlier run left."""

import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from comparing import TWO, counted, toy, write_config

from vlfusion.cli import main


@pytest.mark.slow
def test_what_is_written_is_a_copy(compare, capsys):
    out = compare({'Mean': toy('ToyMean')})
    before = (out / 'scores.csv').read_text()
    counted(capsys)
    cv2.imwrite(str(out / 'fused/Toy/Mean/p1.png'), np.zeros((48, 56), np.uint8))
    assert (compare({'Mean': toy('ToyMean')}) / 'scores.csv').read_text() == before
    assert counted(capsys) == [0, 6, 0, 6] and cv2.imread(str(out / 'fused/Toy/Mean/p1.png')).any()
    shutil.rmtree(out / 'cache/pictures')
    compare({'Mean': toy('ToyMean')})
    assert counted(capsys) == [6, 0, 0, 6], 'pictures that are gone are made again'


@pytest.mark.slow
def test_names_keep_their_files_apart(compare):
    methods = {'Mean': toy('ToyMean'), 'Mean*': toy('ToyBeyond'), '..': dict(checkpoint='conv.pth')}
    out = compare(methods, protocol='plain')
    assert {path.name for path in (out / 'fused/Toy').iterdir()} == {'Mean', 'Mean_2', 'unnamed'}
    one, other = (cv2.imread(str(out / f'fused/Toy/{name}/p0.png')) for name in ('Mean', 'Mean_2'))
    assert (one != other).any()
    out = compare({'Mean': toy('ToyMean')}, protocol='plain')
    assert {path.name for path in (out / 'fused/Toy').rglob('*.png')} == {f'p{index}.png' for index in range(6)}
    assert not list((out / 'fused/Toy/Mean_2').glob('*')), 'what this run did not write is gone'


@pytest.mark.slow
def test_secrets_reach_no_file(compare, toys, tmp_path):
    language = dict(store='s', llm=dict(type='X', api_key='sk-SECRET', base_url='https://me:SECRET@host/v1?key=SECRET'))
    compare({'Mean': toy('ToyMean'), 'Conv': dict(checkpoint='conv.pth', language=language)}, '--no-report')
    written = [path.read_text() for path in Path('out').rglob('*') if path.suffix in ('.json', '.md', '.csv', '.tex')]
    assert 'https://host/v1' in ''.join(written) and 'SECRET' not in ''.join(written)


def test_pictures_that_a_run_compares_are_none_that_it_replaces_or_takes_away(compare, capsys):
    pictures = compare({'Mean': toy('ToyMean')}) / 'fused/Toy/Mean'
    before = {path: path.read_bytes() for path in pictures.iterdir()}
    for methods in ({'Old': dict(fused=str(pictures)), 'Mean': toy('ToyMax')}, {'Old': dict(fused=str(pictures))}):
        write_config(Path('b.py'), methods)
        assert main(['benchmark', 'b.py', '--out', 'out', '--no-report']) == 2
        assert 'p0.png' in capsys.readouterr().err
    assert before and before == {path: path.read_bytes() for path in pictures.iterdir()}


def test_the_manifest_of_a_stranger_takes_no_file_away(compare):
    Path('out').mkdir()
    Path('out/notes.txt').touch()
    Path('out/manifest.json').write_text(json.dumps({'files': ['notes.txt', 'fused/old.png']}))
    compare({'Mean': toy('ToyMean')})
    assert Path('out/notes.txt').exists()


@pytest.mark.slow
def test_the_report_is_written(compare, tmp_path):
    (tmp_path / 'data/words').mkdir()
    (tmp_path / 'data/words/p3.txt').write_text('A wall under a lamp.')
    write_config(tmp_path / 'b.py', TWO | {'Broken': toy('ToyBroken')}, metrics=['EN', 'SCD'],
                 dataset=dict(texts={'both': 'words/{name}.txt'}))
    assert main(['benchmark', 'b.py', '--out', 'out']) == 1
    page = Path('out/report.html').read_text()
    assert 'A wall under a lamp.' in page and 'no such kernel' in page and 'control: noisy mean' in page
    assert main(['benchmark', 'b.py', '--out', 'out', '--no-report']) == 1
    assert not Path('out/report.html').exists(), 'one of an earlier run would belong to other tables'


@pytest.mark.slow
def test_the_latex_compiles(compare, tmp_path):
    compare({'Mean_1': toy('ToyMean'), 'Conv': dict(checkpoint='conv.pth'), 'Broken & Co': toy('ToyBroken'),
             'Paper': dict(printed=dict(Toy=dict(EN=7.5)), source='Table 9')}, code=1)
    latex = Path('out/leaderboards/Toy.tex').read_text()
    assert r'Mean\_1' in latex and r'Broken \& Co & \multicolumn{3}{l}{failed}' in latex
    if not shutil.which('pdflatex'):
        pytest.skip('no pdflatex')
    document = '\\documentclass{article}\\usepackage{booktabs}\\begin{document}%s\\end{document}'
    Path('x.tex').write_text(document % latex)
    subprocess.run(['pdflatex', '-interaction=batchmode', '-halt-on-error', 'x.tex'], check=True, capture_output=True)
