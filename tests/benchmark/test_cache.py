"""Cached results are keyed by content, code and the rule that reads a source."""

import subprocess
import sys

import pytest

from vlfusion.benchmark.cache import Cache, content_digest, image_digest
from vlfusion.imaging.reading.rule import Reading


@pytest.mark.slow
def test_a_plugin_counts_before_it_is_loaded(tmp_path):
    script = '''
from vlfusion.benchmark.methods import Repeat, method_of
one, two = (method_of(name, dict(model=dict(type='FusionModel', backbone=dict(type=f'vlfusion_classical.{name}'))), [])
            for name in ('Average', 'Maximum'))
before = two.identity(Repeat(None, 0))
one.load(Repeat(None, 0))
print(before == two.identity(Repeat(None, 0)) != one.identity(Repeat(None, 0)))
'''
    done = subprocess.run([sys.executable, '-c', script], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ['True']


def test_a_damaged_record_counts_as_none(tmp_path):
    cache = Cache(tmp_path)
    cache.write('scores', 'abc', {'EN': [7.0, '']})
    assert cache.read('scores', 'abc') == {'EN': [7.0, '']}
    (tmp_path / 'scores/ab/abc.json').write_text('{"EN": [7.')
    assert cache.read('scores', 'abc') is None and cache.read('scores', 'abd') is None


def test_a_source_that_is_read_by_a_rule_is_another_source(tmp_path):
    (tmp_path / 'a.png').write_bytes(b'an image')
    digests = [image_digest(tmp_path / 'a.png', Reading.of(given)) for given in ('minmax', 'percentile:1,99')]
    assert image_digest(tmp_path / 'a.png') == content_digest(tmp_path / 'a.png') not in digests
    assert digests[0] != digests[1] and digests[0] == image_digest(tmp_path / 'a.png', Reading.of('minmax'))
