"""Shared files are found, or their test skips with the name."""

import pytest

from vlfusion.testing.shared import shared


def test_a_shared_file_is_found(monkeypatch, tmp_path):
    (tmp_path / 'pair').mkdir()
    monkeypatch.setenv('VLFUSION_SHARED', str(tmp_path))
    assert shared('pair') == tmp_path / 'pair'


@pytest.mark.parametrize('root', ['', '/nowhere'])
def test_a_missing_one_skips_or_fails_with_its_name(monkeypatch, root):
    monkeypatch.setenv('VLFUSION_SHARED', root)
    monkeypatch.delenv('VLFUSION_SHARED_REQUIRED', raising=False)
    with pytest.raises(pytest.skip.Exception, match='needs pair under VLFUSION_SHARED'):
        shared('pair')
    monkeypatch.setenv('VLFUSION_SHARED_REQUIRED', '1')
    with pytest.raises(pytest.fail.Exception, match='needs pair under VLFUSION_SHARED'):
        shared('pair')
