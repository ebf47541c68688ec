"""Both kinds of text store hold the same, and each converts to the other."""

import json
from pathlib import Path

import numpy as np
import pytest
from language.running import draw, register

pytest.importorskip('pyarrow', reason="pip install 'vlfusion[shards]'")

from vlfusion.cli import main
from vlfusion.errors import ConfigError
from vlfusion.language.conversion import compact, convert
from vlfusion.language.pipeline import DescriptionPipeline
from vlfusion.language.store import FAILURES, STAGES, open_store
from vlfusion.registry import snapshot

KEY = 'ab' * 32


@pytest.fixture(autouse=True)
def registered():
    undo = snapshot()
    register()
    yield
    undo()


@pytest.fixture
def language(tmp_path):
    return dict(store=str(tmp_path / 'text'), captioners=[dict(type='NumberCaptioner')], llm=dict(type='TemplateLLM'),
                prompt='paragraph', encoder=dict(type='ShortEncoder'))


def content(path):
    store = open_store(path)
    return {(stage, key): store.content(stage, key, array=stage == 'features')
            for stage in (*STAGES, FAILURES) for key in store.keys(stage)}


def facts(path):
    """Records without the times that differ between runs, and the arrays."""
    return {place: (json.loads(record) | {'seconds': 0, 'date': ''}, array)
            for place, (record, array) in content(path).items()}


def test_a_run_fills_both_kinds_of_store_equally(tmp_path, language):
    images, sharded = draw(tmp_path / 'images', 5), language | {'store': str(tmp_path / 'text.shards')}
    assert [len(DescriptionPipeline(section).run(images).done) for section in (language, sharded)] == [5, 5]
    assert len(DescriptionPipeline(sharded).run(images).skipped) == 5
    assert facts(sharded['store']) == facts(language['store'])
    assert len(facts(sharded['store'])) == 15
    assert [path.suffix for path in (tmp_path / 'text.shards').rglob('*.*')] == ['.arrow'] * 3


def test_there_and_back_is_the_same_to_the_byte(tmp_path, language, capsys):
    DescriptionPipeline(language).run(draw(tmp_path / 'images', 3))
    folder, sharded, back = (str(tmp_path / name) for name in ('text', 'text.shards', 'back'))
    open_store(folder).write(FAILURES, KEY, {'error': 'Grün'})
    assert main(['text', 'convert', folder, sharded]) == 0
    assert '10 records of' in (out := capsys.readouterr().out) and f"store='{sharded}'" in out
    assert convert(folder, sharded).kept == 10
    assert convert(sharded, back).new == 10
    files = [{path.relative_to(root): path.read_bytes() for path in root.rglob('*/??/*')}
             for root in map(Path, (folder, back))]
    assert files[0] == files[1] and len(files[0]) == 13
    assert content(folder) == content(sharded) == content(back)


def test_damaged_records_are_listed(tmp_path, capsys):
    folder, sharded = open_store(tmp_path / 'text'), tmp_path / 'text.shards'
    folder.write('features', KEY, {}, np.ones((2, 3), np.float32))
    folder.put('paragraphs', KEY, b'{"text": "cut')
    assert main(['text', 'convert', str(folder.root), str(sharded)]) == 1
    out = capsys.readouterr().out
    assert '1 records' in out and '1 damaged' in out and f'{KEY}.json is damaged' in out
    assert list(open_store(sharded).keys('features')) == [KEY] and not open_store(sharded).has('paragraphs', KEY)


def test_what_cannot_be_converted_says_so(tmp_path):
    folder = open_store(tmp_path / 'text')
    with pytest.raises(ConfigError, match='no text store'):
        convert(folder.root, tmp_path / 'text.shards')
    folder.write('paragraphs', KEY, {'text': 'A wall.'})
    with pytest.raises(ConfigError, match='itself'):
        convert(folder.root, folder.root)
    with pytest.raises(ConfigError, match='vlfusion text convert'):
        compact(folder.root)


def test_compact_counts_files(tmp_path, capsys):
    from vlfusion.language.sharded import ShardedStore
    root = tmp_path / 'text.shards'
    for number in range(5):
        store = ShardedStore(root)
        store.write('paragraphs', f'{number:064x}', {'text': 'A wall.'})
        store.close()
    assert main(['text', 'compact', str(root)]) == 0
    assert f'{root} has 2 files; it had 5.' in capsys.readouterr().out  # the second is the lock
    assert len(content(root)) == 5
