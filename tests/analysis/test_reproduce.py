"""Published numbers, and a folder compared with them: what is within tolerance, and what explains a gap.

The expected scores come from `score_folder`, which shares no loop with `reproduce`.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vlfusion.analysis.published import overview, published, read_published
from vlfusion.analysis.reproduce import CHANNELS, STRETCHED, SWAPPED, coverage, fused_files, reproduce
from vlfusion.cli import main
from vlfusion.errors import ConfigError, DataError, UnknownNameError
from vlfusion.evaluation import score_folder
from vlfusion.evaluation.statistics import means
from vlfusion.imaging.images import luminance, read_image
from vlfusion.metrics import CC
from vlfusion.metrics.columns import full_name
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import draw_pairs

NAMES = ['p0', 'p1', 'p2']


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working folder: three pairs, and as fused images their means with half the contrast."""
    draw_pairs(tmp_path, NAMES)
    (tmp_path / 'fused').mkdir()
    for name in NAMES:
        a, b = (luminance(read_image(tmp_path / source / f'{name}.png')) for source in ('ir', 'vi'))
        cv2.imwrite(str(tmp_path / f'fused/{name}.png'), (40 + 127 * (a + b) / 2).astype(np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scores_of(folder, metrics, protocol='film'):
    found = means(score_folder(folder, 'ir', 'vi', metrics=metrics, protocol=protocol).rows)
    return dict(zip(metrics, found.values(), strict=True))


def publish(values, digits=2, table='Table 9', method='Mine', mode='w', dataset='Toy'):
    """A file of published numbers: these values, rounded."""
    with open('mine.csv', mode, newline='') as file:
        writer = csv.writer(file)
        if mode == 'w':
            writer.writerow(['paper', 'table', 'dataset', 'method', 'metric', 'value'])
        writer.writerows(['film', table, dataset, method, name, f'{value:.{digits}f}']
                         for name, value in values.items())


def compared(protocol='film', method='Mine'):
    files = fused_files('fused', 'ir', 'vi')
    found = reproduce(files, published('film', 'Toy', method, 'mine.csv'), protocol)
    return {one.metric: one for one in found.rows[0][1]}, found


def stretch(folder='stretched'):
    """The fused images with the whole range each, cut to whole levels, in another folder."""
    Path(folder).mkdir()
    for name in NAMES:
        image = cv2.imread(f'fused/{name}.png', cv2.IMREAD_GRAYSCALE).astype(float)
        levels = (image - image.min()) * 255 / (image.max() - image.min())
        cv2.imwrite(f'{folder}/{name}.png', levels.astype(np.uint8))
    return folder


def test_the_numbers_are_those_of_the_tables():
    golden = json.loads(shared('golden/published_tables.json').read_text())
    expected = {}
    for paper in ('film', 'cddfuse'):
        metrics = golden[paper]['metrics']
        tables = golden[paper]['tables']
        if paper == 'film':
            tables = {dataset: rows for table in tables.values() for dataset, rows in table.items()}
        for dataset, rows in tables.items():
            for method, values in rows.items():
                if dataset.startswith('MRI'):
                    method = {'CDDFuse': 'CDDFuse_IVF', 'CDDFuse*': 'CDDFuse_MIF'}.get(method, method)
                expected[paper, False, dataset, method] = dict(zip(metrics, values, strict=True))
        for dataset, values in golden[paper]['readme_output_released_ckpt'].items():
            method = 'FILM' if paper == 'film' else 'CDDFuse'
            if dataset.startswith('MRI'):
                dataset, _, weights = dataset.rpartition('_')
                dataset, method = dataset.replace('_', '-'), f'{method}_{weights}'
            expected[paper, True, dataset, method] = dict(zip(metrics, values, strict=True))
    found = {(row.paper, row.table == 'README', row.dataset, row.method):
             {name: row.value(name) for name in row.printed} for row in read_published()}
    assert found == expected and len(found) == 88 + 51 + 8
    assert all(len(number.partition('.')[2]) == 2 for row in read_published() for number in row.printed.values())


def test_rows_are_found_whatever_the_letter_case():
    assert [(row.table, row.printed['SF']) for row in published(None, 'msrs', 'film')] == [
        ('Table 1', '11.70'), ('README', '11.55')]
    assert {row.paper for row in published(None, 'MSRS', 'cddfuse')} == {'cddfuse'}, "its own paper's"
    assert published('film', 'harvard', 'cddfuse')[0].table == 'Table 2'
    assert published(None, 'mri_ct', 'cddfuse-mif')[0].printed['SD'] == '79.17'
    assert published(None, 'TNO', 'u2f')[0].pairs == 25 and published(None, 'M3FD', 'film')[0].pairs is None
    there = {(paper, dataset): methods for paper, table, dataset, methods in overview(read_published())
             if table != 'README'}
    assert len(there) == 14 and there['film', 'Lytro'][-1] == 'FILM'


@pytest.mark.parametrize(('asked', 'message'), [
    (('flim', 'Lytro', 'FILM'), 'Did you mean film?'),
    (('film', 'Lytra', 'FILM'), 'Did you mean Lytro?'),
    (('film', 'TNO', 'FILM'), 'no data set'),
    ((None, 'Lytro', 'MGND'), 'Did you mean MGDN?'),
    (('film', 'MSRS', 'cddfuse'), 'Did you mean CDDF?'),
    ((None, 'MRI-CT', 'cddfuse'), 'Did you mean CDDFuse_IVF or CDDFuse_MIF?'),
])
def test_what_is_not_published_is_answered_with_what_is(asked, message):
    with pytest.raises(UnknownNameError, match='tables') as caught:
        published(*asked)
    assert message in str(caught.value)


def test_a_method_of_two_papers_needs_the_paper():
    with pytest.raises(ConfigError, match='cddfuse and film'):
        published(None, 'MSRS', 'TarD')
    assert published('film', 'MSRS', 'TarD')[0].printed.keys() >= {'AG'}


@pytest.mark.parametrize(('text', 'message'), [
    ('', 'contains no numbers'),
    ('paper,table,dataset,method,metric\nfilm,1,Toy,Mine,EN\n', 'Line 2'),
    ('paper,table,dataset,method,metric,value\nfilm,1,Toy,Mine,EN,7.1\nfilm,1,Toy,Mine,SD,high\n', 'Line 3'),
    ('paper,table,dataset,method,metric,value\nfilm,1,Toy,Mine,EN,7.1\nfilm,1,Toy,Mine,EN,7.2\n', 'repeats EN'),
])
def test_a_file_of_another_form_is_refused(tmp_path, text, message):
    (tmp_path / 'mine.csv').write_text(text)
    with pytest.raises(DataError, match=message):
        read_published(tmp_path / 'mine.csv')
    with pytest.raises(DataError, match='Cannot read'):
        read_published(tmp_path / 'none.csv')


@pytest.mark.slow
def test_a_folder_that_has_the_numbers_is_within(place):
    publish(scores_of('fused', ['EN', 'SD', 'SF', 'AG', 'VIF', 'Qabf']))
    found, reproduction = compared()
    assert all(one.within and not one.explanation and not one.conventions for one in found.values())
    assert found['SD'].tolerance == pytest.approx(0.055) and found['Qabf'].tolerance == pytest.approx(0.005)
    assert reproduction.names == NAMES


def test_the_tolerance_is_half_a_digit_and_the_second_run(place):
    truth = scores_of('fused', ['SD', 'MI'])
    publish({'SD': truth['SD'] + 0.049, 'MI': truth['MI'] + 0.02})
    found, _ = compared()
    assert found['SD'].within and not found['MI'].within
    publish({'SD': truth['SD'] + 0.061, 'MI': truth['MI']}, digits=3)
    found, _ = compared()
    assert not found['SD'].within and found['MI'].within


def test_a_gap_that_the_stretch_explains(place, capsys):
    publish(scores_of(stretch(), ['EN', 'SD', 'SF', 'AG', 'VIF', 'Qabf']))
    found, reproduction = compared()
    for name in ('SD', 'SF', 'AG'):
        assert not found[name].within and found[name].explaining[0].name == STRETCHED
        assert found[name].explanation.startswith(f'explained by {STRETCHED} (')
    assert any(f'{STRETCHED} would explain SD, SF, AG' in remark for remark in reproduction.remarks())
    assert all(convention.name != CHANNELS for one in found.values() for convention in one.conventions), 'all are grey'


def test_a_file_that_has_the_whole_range_is_not_stretched(place):
    publish({name: value + 1 for name, value in scores_of(stretch(), ['SD', 'EN']).items()})
    files = fused_files('stretched', 'ir', 'vi')
    found = reproduce(files, published('film', 'Toy', 'Mine', 'mine.csv'), 'film').rows[0][1]
    assert [one.conventions for one in found] == [(), ()]
    assert found[0].explanation == 'no other convention comes nearer'


def test_a_gap_that_a_variant_explains(place):
    values = scores_of('fused', ['SSIM:vifb', 'SF:vifb', 'MI'], 'plain')
    publish({name.partition(':')[0]: value for name, value in values.items()}, digits=4)
    found, _ = compared()
    assert 'SSIM:vifb' in found['SSIM'].explanation
    assert found['MI'].explanation.startswith('explained by MI, the default ('), 'film means nat'
    names = [convention.name for convention in found['SSIM'].conventions]
    assert 'SSIM:film' not in names, 'that is what was measured'
    assert len(names) == len(set(names)) and {'SSIM, the default', 'SSIM:vifb', 'SSIM:cddfuse'} <= set(names)
    distances = [abs(one.value - float(found['SSIM'].printed)) for one in found['SSIM'].conventions]
    assert distances == sorted(distances)


def test_a_gap_that_colour_explains(place):
    for name in NAMES:
        grey = cv2.imread(f'fused/{name}.png')
        cv2.imwrite(f'fused/{name}.png', np.clip(grey * np.array([0.4, 1, 1.7]), 0, 255).astype(np.uint8))
    publish(scores_of('fused', ['SD', 'MI'], 'vifb'), digits=5)
    found, _ = compared()
    assert [one.name for one in found['SD'].explaining] == [one.name for one in found['MI'].explaining] == [CHANNELS]
    unrounded = []
    for name in NAMES:
        planes = [torch.from_numpy(luminance(read_image(f'{folder}/{name}.png'), 'bt601') * 255)[None, None]
                  for folder in ('fused', 'ir', 'vi')]
        unrounded.append(CC(*planes).item())
    publish({'CC': np.mean(unrounded)}, digits=9)
    found, _ = compared()
    assert [one.name for one in found['CC'].explaining] == ['luminance bt601']


def test_swapped_sources_count_only_where_they_matter(place):
    for folder in ('ir', 'vi'):  # where both are flat, that code counts one of them
        flat = read_image(f'{folder}/p0.png').copy()
        flat[:20, :20] = 9
        cv2.imwrite(f'{folder}/p0.png', flat)
    publish({'Qc:liu': 3, 'Qabf': 3, 'EN': 3})
    found, _ = compared()
    assert SWAPPED in [one.name for one in found['Qc:liu'].conventions]
    assert SWAPPED not in [one.name for one in (*found['Qabf'].conventions, *found['EN'].conventions)]


def test_the_nearest_is_named_only_where_it_is_much_nearer(place):
    truth = scores_of(stretch(), ['SD'])
    publish({'SD': truth['SD'] + 0.2})
    found, _ = compared()
    assert not found['SD'].explaining and found['SD'].explanation.startswith(f'nearest: {STRETCHED}')
    publish({'SD': truth['SD'] + 1000})
    assert compared()[0]['SD'].nearest is None


def test_a_score_that_is_not_finite_is_a_gap(place):
    cv2.imwrite('fused/p1.png', np.full((48, 56), 7, np.uint8))
    publish({'CC': 0.5})
    found, reproduction = compared()
    assert not found['CC'].within and found['CC'].explanation == 'no other convention comes nearer'
    reproduction.write('out/mine.json')
    assert json.loads((place / 'out/mine.json').read_text())['rows'][0]['metrics'][0]['measured'] == 'NaN'


def test_rows_that_differ_are_all_compared(place):
    files = fused_files('fused', 'ir', 'vi', ['p0'])
    tables = [row.table for row, _ in reproduce(files, published('film', 'MSRS', 'film'), 'film').rows]
    assert tables == ['Table 1', 'README']
    tables = [row.table for row, _ in reproduce(files, published('film', 'RealMFF', 'film'), 'film').rows]
    assert tables == ['Table 4'], 'the README departs by no more than two runs do'


def test_what_the_number_of_pairs_means():
    lytro, m3fd = published('film', 'Lytro', 'film')[0], published('film', 'M3FD', 'film')[0]
    assert coverage(lytro, 20) == '20 pairs were measured, as many as film has on Lytro.'
    assert coverage(lytro, 1).startswith('1 pair was measured, but film has 20 on Lytro. On a part of the set')
    assert 'On other pairs a gap is expected' in coverage(lytro, 21)
    assert 'is not stated' in coverage(m3fd, 20)


def test_problems_with_files_are_listed(place):
    publish({'EN': 7})
    (place / 'fused/p0.png').write_bytes(b'no image')
    cv2.imwrite('fused/p2.png', np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError) as caught:
        compared()
    assert 'fused/p0.png' in str(caught.value) and 'fused/p2.png is 4x4' in str(caught.value)
    (place / 'fused/p0.png').unlink()
    with pytest.raises(DataError, match='ir/p0.png .* has no partner in the fused folder'):
        fused_files('fused', 'ir', 'vi')
    assert list(fused_files('fused', 'ir', 'vi', ['p1'])) == ['p1']


def run(*options):
    return main(['reproduce', *options])


def test_the_verb(place, capsys):
    publish({**scores_of('fused', ['EN', 'SD']), 'SF': 99})
    assert run('mine', '--dataset', 'toy', '--published', 'mine.csv', '--fused', 'fused', '--source-a', 'ir',
               '--source-b', 'vi', '--out', 'out/found.json') == 0
    printed = capsys.readouterr().out
    assert 'Mine on Toy: film, Table 9; protocol film.1' in printed and 'within' in printed and 'outside' in printed
    assert printed.endswith('Wrote out/found.json.\n')
    held = json.loads((place / 'out/found.json').read_text())
    assert held['names'] == NAMES and held['protocol'] == 'film.1'
    assert [one['within'] for one in held['rows'][0]['metrics']] == [True, True, False]
    assert held['rows'][0]['metrics'][2]['conventions']


def test_sources_are_read_by_a_range(place, capsys):
    for name in NAMES:
        counts = 7000 + read_image(place / f'ir/{name}.png').astype(np.uint16)
        cv2.imwrite(str(place / f'ir/{name}.png'), counts)
    publish({'Qabf': 0.5})
    options = ('mine', '--dataset', 'toy', '--published', 'mine.csv', '--fused', 'fused', '--source-a', 'ir',
               '--source-b', 'vi', '--out', 'found.json')
    found = []
    for ranges in ((), ('--range-a', '7000,7255')):
        assert run(*options, *ranges) == 0
        found.append(json.loads((place / 'found.json').read_text())['rows'][0]['metrics'][0]['measured'])
    assert abs(found[1] - found[0]) > 0.01
    assert run(*options[:7], '--range-a', 'minmax') == 2 and 'range_a' in capsys.readouterr().err


def test_another_row_of_a_paper(place, capsys):
    assert run('film', '--method', 'sdn', '--dataset', 'MSRS', '--fused', 'fused', '--source-a', 'ir',
               '--source-b', 'vi', '--names', 'p0') == 0
    assert 'SDN on MSRS: film, Table 1' in capsys.readouterr().out


def test_the_list(capsys):
    assert run('--list') == 0
    printed = capsys.readouterr().out
    assert 'CDDFuse_MIF' in printed and 'not stated' in printed and '361' in printed


@pytest.mark.parametrize(('options', 'message'), [
    (['film'], 'There is no dataset and no fused.'),
    (['film', '--dataset', 'Lytra', '--fused', 'fused'], 'Did you mean Lytro?'),
    (['film', '--dataset', 'Lytro', '--fused', 'fused'], 'data/mff/Lytro'),
    (['film', '--dataset', 'M3FD', '--fused', 'fused'], 'There is no config of the data set M3FD'),
    (['film', '--dataset', 'Lytro', '--fused', 'fused', '--source-a', 'ir'], 'Only one of'),
    (['film', '--dataset', 'Lytro', '--fused', 'fused', '--source-a', 'ir', '--source-b', 'vi', '--data-root', 'x'],
     '--data-root has no effect'),
    (['film', '--dataset', 'Lytro', '--fused', 'fused', '--out', 'mine.txt'], 'ends in .json'),
    (['film', '--dataset', 'Lytro', '--fused', 'nowhere', '--source-a', 'ir', '--source-b', 'vi'], 'nowhere'),
    (['film', '--dataset', 'Lytro', '--fused', 'fused', '--source-a', 'ir', '--source-b', 'vi', '--protocol', 'flim'],
     'Did you mean film?'),
    (['other', '--dataset', 'Toy', '--fused', 'fused', '--published', 'other.csv', '--protocol', 'plain',
      '--source-a', 'ir', '--source-b', 'vi', '--out', 'ir/p0.png/found.json'], 'cannot be written'),
    (['other', '--dataset', 'Toy', '--fused', 'fused', '--published', 'other.csv'], "named like the paper 'new'"),
])
def test_mistakes_are_answered_with_a_remedy_and_exit_code_2(place, capsys, options, message):
    (place / 'other.csv').write_text('paper,table,dataset,method,metric,value\nnew,1,Toy,Other,EN,7.1\n')
    assert run(*options) == 2
    error = capsys.readouterr().err
    assert message in error and '->' in error and 'Traceback' not in error


def test_a_data_set_with_subsets(tmp_path, monkeypatch, capsys):
    """The pairs of configs/_base_/datasets/harvard.py, whose names contain the subset."""
    for kind in ('CT', 'PET', 'SPECT'):
        draw_pairs(tmp_path / f'data/{kind}-MRI/test', ['1', '2'], 'MRI', kind)
        for name in ('1', '2'):
            path = tmp_path / f'fused/{kind}-MRI/{name}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), cv2.imread(str(tmp_path / f'data/{kind}-MRI/test/MRI/{name}.png')) // 2)
    monkeypatch.chdir(tmp_path)
    command = ['film', '--dataset', 'Harvard', '--fused', str(tmp_path / 'fused'),
               '--data-root', str(tmp_path / 'data')]
    out = tmp_path / 'found.json'
    assert run(*command, '--names', 'CT-MRI/1', 'PET-MRI/2.png', '--out', str(out)) == 0
    assert json.loads(out.read_text())['names'] == ['CT-MRI/1', 'PET-MRI/2']
    assert '2 pairs were measured; how many film has on Harvard is not stated' in capsys.readouterr().out
    assert run(*command[:4], str(tmp_path / 'fused/{name}.*'), *command[5:], '--names', 'CT-MRI/1') == 0
    (tmp_path / 'fused/CT-MRI/1.png').rename(tmp_path / 'fused/CT-MRI/7.png')
    assert run(*command) == 2
    error = capsys.readouterr().err
    assert 'CT-MRI/1 has no image in the fused folder' in error and 'CT-MRI/7.png belongs to no pair' in error
    assert run(*command, '--names', 'CT-MRI/8') == 2
    assert 'has no pair CT-MRI/8' in capsys.readouterr().err


def test_real_pairs(tmp_path, monkeypatch, request, capsys):
    """Two pairs of Lytro and their means, scored as `vlfusion evaluate` scores them."""
    root = shared('data/mff/Lytro')
    names = sorted(path.stem for path in (root / 'near').iterdir())[:2]
    for name in names:
        for folder in ('near', 'far'):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / f'{folder}/{name}.png'), read_image(root / folder / f'{name}.png')[:200, :240])
        a, b = (luminance(read_image(tmp_path / f'{folder}/{name}.png')) for folder in ('near', 'far'))
        (tmp_path / 'fused').mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f'fused/{name}.png'), (255 * (a + b) / 2).astype(np.uint8))
    monkeypatch.chdir(request.config.rootpath)
    out = tmp_path / 'found.json'
    assert run('film', '--dataset', 'lytro', '--fused', str(tmp_path / 'fused'), '--data-root', str(tmp_path),
               '--out', str(out)) == 0
    printed = capsys.readouterr().out
    assert 'FILM on Lytro: film, Table 4' in printed and 'README' not in printed
    assert '2 pairs were measured, but film has 20 on Lytro' in printed
    expected = means(score_folder(tmp_path / 'fused', tmp_path / 'near', tmp_path / 'far').rows)
    for one in json.loads(out.read_text())['rows'][0]['metrics']:
        assert one['measured'] == pytest.approx(expected[full_name(one['metric'], 'film')], rel=1e-9)
        assert one['published'] == {'EN': 7.56, 'SD': 59.15, 'SF': 19.57, 'AG': 6.97, 'VIF': 0.98,
                                    'Qabf': 0.74}[one['metric']]


def test_the_script_is_the_verb(request):
    command = [sys.executable, str(request.config.rootpath / 'tools/reproduce.py'), '--list']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and 'Table 4' in done.stdout, done.stderr


def test_the_page_works(place, request):
    """The lines of docs/howto/reproduce.md, on pairs drawn here; and its commands name rows that there are."""
    page = (request.config.rootpath / 'docs/howto/reproduce.md').read_text()
    draw_pairs(place / 'TNO', NAMES)
    exec(page.partition('```python\n')[2].partition('```')[0], {})
    assert json.loads(Path('reproduction.json').read_text())['rows'][0]['dataset'] == 'TNO'
    for command in [line.split()[2:] for line in page.splitlines() if line.startswith('    vlfusion ')]:
        given = dict(zip(command[1::2], command[2::2], strict=True))
        assert published(given.get('--paper'), given['--dataset'], command[0])
