"""One command makes a leaderboard from nothing: weights and data come from a server laid out as the public host."""

import io
import json
import re
from pathlib import Path

import pytest
import torch
from naming import install_models

from vlfusion.benchmark.needs import needs_of
from vlfusion.benchmark.plan import load_plan
from vlfusion.cli import main
from vlfusion.testing.public_host import git_blob
from vlfusion.testing.toys import draw_pairs
from vlfusion.zoo.entries import find_model

PAIRS = ['p0', 'p1', 'p2']
CONFIG = '''
datasets = dict(Toys=dict(type='PairDataset', task='ivf', data_root='data/ivf/Toys', source_a='ir', source_b='vi'))
methods = dict(Mean='needy-mean', Packed='needy-packed', Released='needy-released', Gone='needy-gone',
               Typo='needy-pakced', Half=dict(checkpoint='needy-packed', datasets=['Toys']))
metrics = ['EN', 'SF']
controls, robustness = False, False
'''


@pytest.fixture
def public(host, install, tmp_path, monkeypatch):
    """A host with the pairs of a data set and two files of weights, one of which it refuses; and a plugin for them."""
    for package in ('scipy', 'scikit_posthocs', 'jinja2', 'matplotlib'):
        pytest.importorskip(package, reason="pip install 'vlfusion[benchmark]'")
    monkeypatch.chdir(tmp_path)
    weights = io.BytesIO()
    torch.save({'net': {'weight': torch.full((1, 1, 3, 3), 0.1), 'bias': torch.zeros(1)}}, weights)
    released = host.add(weights.getvalue(), 'anna/conv', 'net.pth')
    gone = host.add(b'gone', 'anna/conv', 'gone.pth')
    host.faults[f'/anna/conv/{gone.commit}/gone.pth'] = [403] * 9
    draw_pairs(tmp_path / 'theirs', PAIRS)
    manifest, commit = [f'repository\tanna/toys\t{"c" * 40}'], 'c' * 40
    for side in ('ir', 'vi'):
        manifest.append(f'folder\tpairs/{side}\tivf/Toys/{side}')
        for path in sorted((tmp_path / 'theirs' / side).iterdir()):
            content = path.read_bytes()
            host.files[f'/anna/toys/{commit}/pairs/{side}/{path.name}'] = content
            manifest.append(f'{git_blob(content)}\t{len(content)}\t{path.name}')
    more = f"""
[models.needy-gone]
method = "Conv"
task = "ivf"
licence = "none stated"
source = {{repo = "{gone.repo}", commit = "{gone.commit}", files = [{{path = "gone.pth", blob = "{gone.blob}"}}]}}
"""
    folder = install_models(install, 'needy-', released, len(weights.getvalue()), more)
    (folder / 'sets.toml').write_text("""
[Toys]
title = "Toys"
task = "ivf"
licence = "CC0"
[[Toys.pairs]]
folder = "ivf/Toys"
source_a = "ir"
source_b = "vi"
count = 3
""")
    (folder / 'manifests').mkdir()
    (folder / 'manifests/Toys.tsv').write_text('\n'.join(manifest))
    Path('toys.py').write_text(CONFIG)
    return host


@pytest.mark.slow
def test_a_leaderboard_from_nothing(public, capsys):
    needs = str(needs_of(load_plan('toys.py')))
    assert re.match(r'3 downloads, \d+ kB and 1 of unknown size:\n    Toys: 6 files, \d+ kB, from '
                    r'github.com/anna/toys. Licence: CC0.\n    needy-released: \d+ kB, from '
                    'github.com/anna/conv. Licence: MIT.\n    needy-gone: size not known', needs)
    assert main(['benchmark', 'toys.py', '--get', '--no-report', '--out', 'out']) == 1
    said = capsys.readouterr()
    assert needs in said.err and '| Released | failed |' not in said.out
    board = json.loads(Path('out/leaderboards/Toys.json').read_text())
    assert board['images'] == 3 and board['metrics']['EN']['means'].keys() == {'Mean', 'Packed', 'Released', 'Half'}
    assert board['metrics']['EN']['means']['Packed'] == board['metrics']['EN']['means']['Half']
    assert board['failures'].keys() == {'Gone', 'Typo'}
    assert 'status 403' in board['failures']['Gone'] and 'Did you mean needy-packed?' in board['failures']['Typo']
    manifest = json.loads(Path('out/manifest.json').read_text())
    assert len(manifest['methods']['Released']['checkpoints']['needy-released']) == 64
    assert manifest['methods']['Mean']['checkpoints'] == {}

    public.faults.clear()
    asked = len(public.requests)
    assert main(['benchmark', 'toys.py', '--get', '--no-report', '--out', 'out']) == 1
    assert 'Fused 0 pairs (12 known)' in (said := capsys.readouterr()).out, 'the file of the weights is the same'
    assert [path.rpartition('/')[2] for path, _ in public.requests[asked:]] == ['gone.pth']
    assert '1 download, 1 of unknown size:\n    needy-gone' in said.err


@pytest.mark.slow
def test_without_get_a_row_says_how(public, capsys):
    """Weights that are not here are no reason to ask a server."""
    Path('data/ivf').mkdir(parents=True)
    Path('theirs').rename('data/ivf/Toys')
    assert main(['benchmark', 'toys.py', '--no-report', '--out', 'out']) == 1
    said = capsys.readouterr().err
    assert ('Released: The weights of needy-released are not on this machine. They come from github.com/anna/conv, '
            'licence: MIT. Add --get, or run `vlfusion models get needy-released`.') in said
    assert public.requests == []
    assert main(['models', 'get', 'needy-released']) == 0
    assert main(['benchmark', 'toys.py', '--no-report', '--out', 'out']) == 1
    assert 'Released' not in capsys.readouterr().err.rpartition('2 methods failed')[2]


def test_data_that_cannot_be_loaded(public, capsys):
    [path] = [path for path in public.files if path.endswith('vi/p1.png')]
    public.faults[path] = [404]
    assert main(['benchmark', 'toys.py', '--get', '--no-report', '--out', 'out']) == 2
    assert 'status 404' in capsys.readouterr().err
    assert sorted(file.name for file in Path('data/ivf/Toys/vi').iterdir()) == ['p0.png', 'p2.png']
    assert 'Toys: 1 files, ' in str(needs_of(load_plan('toys.py')))


@pytest.mark.slow
def test_a_model_on_the_hub(public, hub, tmp_path, capsys):
    Path('data/ivf').mkdir(parents=True)
    Path('theirs').rename('data/ivf/Toys')
    weights = find_model('needy-packed').source.path
    assert main(['push', str(weights), 'anna/conv']) == 0
    Path('toys.py').write_text(CONFIG.replace('methods = dict(', 'methods = dict(Hub="hf://anna/conv", '))
    run = ['benchmark', 'toys.py', '--no-report', '--out', 'out']
    assert main(run) == 1
    assert 'Hub: The weights of hf://anna/conv are not on this machine. Add --get' in capsys.readouterr().err
    assert main([*run, '--get']) == 1
    board = json.loads(Path('out/leaderboards/Toys.json').read_text())['metrics']['EN']['means']
    assert board['Hub'] == board['Packed'] and 'hf://anna/conv' in capsys.readouterr().err
    assert main(run) == 1 and 'Hub:' not in capsys.readouterr().err.rpartition('methods failed')[2]
