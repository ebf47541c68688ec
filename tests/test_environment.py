"""`vlfusion env` says what a report of an error needs, and no secret."""

import json
import re
from importlib.metadata import version

import pytest

from vlfusion.cli import main
from vlfusion.environment import find_extras


@pytest.fixture
def printed(tmp_path, monkeypatch, capsys):
    """Run `vlfusion env` with secrets in the environment; returns a function that returns its output."""
    monkeypatch.setenv('OPENAI_API_KEY', 'sk-0123456789abcdef')
    monkeypatch.setenv('HF_TOKEN', 'a-word-of-no-form')
    monkeypatch.setenv('VLFUSION_PASSWORD', 'open sesame')
    monkeypatch.setenv('VLFUSION_SERVER', 'http://me:sesame@host:8080/v1?token=sesame')
    monkeypatch.setenv('SOMEBODY_ELSES_VARIABLE', 'sesame')
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('VLFUSION_HOME', str(tmp_path / 'cache'))
    (tmp_path / 'cache/models').mkdir(parents=True)
    (tmp_path / 'cache/models/a.bin').write_bytes(bytes(2_500_000))

    def run(*words: str) -> str:
        assert main(['env', *words]) == 0
        return capsys.readouterr().out
    return run


@pytest.mark.slow
def test_the_report_names_what_matters_and_no_secret(printed, tmp_path):
    text = printed()
    assert re.search(rf'^torch +{re.escape(version("torch"))}$', text, re.MULTILINE)
    assert re.search(r'^device +cpu, \d+ threads$', text, re.MULTILINE)
    assert '~/cache: 1 files, 2.5 MB' in text and str(tmp_path) not in text, 'the home folder names its user'
    assert re.search(r'^  OPENAI_API_KEY +\*\*\*$', text, re.MULTILINE)
    assert re.search(r'^  VLFUSION_SERVER +http://host:8080/v1$', text, re.MULTILINE)
    assert not re.search('sesame|0123456789|a-word-of-no-form|SOMEBODY', text)

    facts = json.loads(printed('--json'))
    assert facts['cache'] == {'folder': '~/cache', 'files': 1, 'bytes': 2_500_000}
    assert facts['variables']['HF_TOKEN'] == '***' and 'build' not in facts
    assert all(plugin['status'] in ('loaded', 'disabled', 'failed') for plugin in facts['plugins'])


def test_an_extra_says_what_it_lacks(tmp_path, monkeypatch):
    info = tmp_path / 'toy_dist-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('\n'.join([
        'Metadata-Version: 2.1', 'Name: toy-dist', 'Version: 1.0', 'Requires-Dist: numpy', 'Provides-Extra: good',
        'Provides-Extra: old', 'Provides-Extra: all', 'Provides-Extra: elsewhere',
        'Requires-Dist: numpy>=1; extra == "good"',
        'Requires-Dist: numpy>=999; extra == "old"', 'Requires-Dist: no-such-thing; extra == "old"',
        'Requires-Dist: toy-dist[good,old]; extra == "all"',
        'Requires-Dist: no-such-thing; sys_platform == "no" and extra == "elsewhere"', '']))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_extras('toy-dist') == {'good': [], 'old': ['numpy>=999', 'no-such-thing'],
                                       'all': ['numpy>=999', 'no-such-thing'], 'elsewhere': []}
    assert find_extras('no-such-distribution-at-all') == {}
