"""`vlfusion models` lists models on any terminal, and gets and adds the files of several."""

import io

import pytest
import torch
from naming import install_models

from vlfusion.cli import main
from vlfusion.zoo.entries import find_model
from vlfusion.zoo.places import converted

#: Models whose files the host does not have.
GONE = ''.join(f"""
[models.m-{name}]
method = "Conv"
task = "ivf"
source.repo = "anna/{name}"
source.commit = "{'c' * 40}"
source.files = [{{path = "a.pth", blob = "{blob * 40}"}}]
""" for name, blob in (('gone', 'a'), ('lost', 'b')))


@pytest.fixture
def package(host, install, tmp_path, monkeypatch):
    """A plugin with the model `m-released`, and `m-gone`, whose file the host lacks."""
    monkeypatch.chdir(tmp_path)
    weights = io.BytesIO()
    torch.save({'net': {'weight': torch.zeros(1, 1, 3, 3), 'bias': torch.zeros(1)}}, weights)
    file = host.add(weights.getvalue(), 'anna/conv', 'models/net.pth')
    return install_models(install, 'm-', file, len(weights.getvalue()), more=GONE)


@pytest.mark.parametrize(('columns', 'shown'), [(80, False), (200, True)])
def test_a_narrow_terminal_shows_whole_names(package, capsys, monkeypatch, columns, shown):
    monkeypatch.setenv('FORCE_COLOR', '1')
    monkeypatch.setenv('COLUMNS', str(columns))
    assert main(['models']) == 0
    out = capsys.readouterr().out
    assert 'mufusion-ivf-roadscene' in out and 'm-released' in out and ('weights' in out) == shown


def test_get_prints_paths_and_goes_on_after_a_failure(package, capsys):
    assert main(['models', 'get', 'm-gone', 'm-mean', 'm-released']) == 2
    out, err = capsys.readouterr()
    assert out == f'm-mean: needs no weights\nm-released: {converted(find_model("m-released"))}\n'
    assert '404' in err and 'vlfusion models add m-gone a.pth' in err
    assert main(['models', 'get', 'm-gone', 'm-lost', 'm-released']) == 2
    out, err = capsys.readouterr()
    assert out.startswith('m-released: ') and '2 of 3 models cannot be loaded' in err and err.count('status 404') == 2


def test_add_a_file_that_is_not_there(package, capsys):
    assert main(['models', 'add', 'm-released', 'net.pth']) == 2
    assert 'error: There is no file net.pth.' in capsys.readouterr().err
