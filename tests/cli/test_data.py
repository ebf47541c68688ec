"""`vlfusion data` lists, shows, fetches and checks public data sets."""

from pathlib import Path

import pytest

from vlfusion.cli import main

PAGE = Path(__file__).parents[2] / 'docs/reference/datasets.md'


def printed(capsys, *words):
    """Output and exit code of the verb."""
    code = main(['data', *words])
    return capsys.readouterr().out, code


def test_all_sets_are_listed_with_what_is_here(capsys, toy_set):
    out, code = printed(capsys, '--root', str(toy_set.root))
    line = next(line for line in out.splitlines() if line.startswith('Toy '))
    assert code == 0 and line.split() == ['Toy', 'ivf', '2', 'test', '22', 'bytes', 'none', 'stated', 'Two', 'pairs']
    (toy_set.root / 'ivf/Toy/ir').mkdir(parents=True)
    (toy_set.root / 'ivf/Toy/ir/1.png').touch()
    assert '1 of 4 files' in printed(capsys, '--root', str(toy_set.root))[0]


@pytest.mark.parametrize(('columns', 'shown'), [(80, False), (200, True)])
def test_a_narrow_terminal_shows_whole_names(capsys, monkeypatch, columns, shown):
    monkeypatch.setenv('FORCE_COLOR', '1')
    monkeypatch.setenv('COLUMNS', str(columns))
    out, _ = printed(capsys)
    assert 'FLIR-DIDFuse' in out and 'none stated' in out and ('Multi-exposure pairs' in out) == shown


def test_a_task_limits_the_list(capsys):
    out, _ = printed(capsys, 'mef')
    assert 'MEFB' in out and 'by hand' in out and 'RoadScene' not in out


@pytest.mark.slow  # it reads all configs that ship
def test_the_card_of_a_set(capsys):
    out, code = printed(capsys, 'roadscene')
    assert code == 0 and out == printed(capsys, 'show', 'RoadScene')[0]
    for words in ('**licence**: none stated', '171 train, 50 test', '@article{xu2022u2fusion', '442 files, 8.7 MB',
                  'vlfusion data get RoadScene --root data', '`benchmark/ivf`', '`zoo/film_ivf`',
                  'train  ivf/RoadScene_train  ir        vi        171'):
        assert words in out, words
    assert '`benchmark/mif`' not in out and 'git clone' in printed(capsys, 'MSRS')[0]


def test_get_and_check(capsys, toy_set):
    root = ('--root', str(toy_set.root))
    out, code = printed(capsys, 'check', 'Toy', *root)
    assert code == 1 and 'missing   ivf/Toy/ir: a folder of 2 files' in out
    assert f'`vlfusion data get Toy --root {toy_set.root}` fetches Toy.' in out
    out, code = printed(capsys, 'get', 'Toy', *root)
    assert (out, code) == (f'Toy: 4 files were loaded, 0 were there: {toy_set.root}/ivf/Toy.\n', 0)
    (toy_set.root / 'ivf/Toy/ir/3.png').touch()
    out, code = printed(capsys, 'get', 'Toy', *root)
    assert '0 files were loaded, 4 were there' in out and 'extra     ivf/Toy/ir/3.png: is not part of the set' in out
    (toy_set.root / 'ivf/Toy/ir/3.png').unlink()
    assert printed(capsys, 'check', 'Toy', *root) == (f'Toy under {toy_set.root} is complete.\n', 0)


def test_many_findings_in_a_folder_are_counted(capsys, tmp_path):
    (tmp_path / 'ivf/TNO/ir').mkdir(parents=True)
    lines = printed(capsys, 'check', 'TNO', '--root', str(tmp_path))[0].splitlines()
    assert lines[:7] == [*(f'missing   ivf/TNO/ir/0{number}.png' for number in range(1, 6)),
                         'missing   ... and 20 more in ivf/TNO/ir', 'missing   ivf/TNO/vi: a folder of 25 files']


def test_a_misspelt_name_is_told_before_any_download(capsys, toy_set, host):
    assert main(['data', 'get', 'Toy', 'RoadSceen', '--root', str(toy_set.root)]) == 2
    assert 'Did you mean RoadScene?' in capsys.readouterr().err and host.requests == []


@pytest.mark.parametrize(('words', 'problem'), [
    (['get'], '`vlfusion data get` needs the name of a set.'),
    (['get', 'LLVIP'], 'LLVIP cannot be fetched'),
    (['get', 'Toy', '--offline'], 'vlfusion is offline')])
def test_errors_name_the_remedy(capsys, toy_set, words, problem):
    assert main(['data', *words, '--root', str(toy_set.root)]) == 2
    error = capsys.readouterr().err
    assert problem in error and '-> ' in error


@pytest.mark.slow
def test_the_page_is_that_of_the_verb(capsys):
    assert PAGE.read_text(encoding='utf-8') == printed(capsys, '--markdown')[0], \
        'run: vlfusion data --markdown > docs/reference/datasets.md'
