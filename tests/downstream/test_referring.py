"""Referring expressions in parquet files, written as the released loader of MM-RIS reads them."""

from io import BytesIO

import cv2
import numpy as np
import pytest

from vlfusion.data import find_pairs
from vlfusion.downstream.labels.masks import IndexMasks
from vlfusion.downstream.referring import ReferringSet, unpack_referring
from vlfusion.errors import DataError
from vlfusion.imaging.images import read_image

pyarrow = pytest.importorskip('pyarrow', reason="pip install 'vlfusion[downstream]'")


def as_bytes(array):
    stream = BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def row_of(name, seed, **changes):
    generator = np.random.default_rng(seed)
    visible, infrared = (generator.integers(0, 256, shape).astype(np.uint8) for shape in ((12, 20, 3), (12, 20)))
    mask = (generator.random((12, 20)) > 0.7).astype(np.uint8)
    return dict(image_name=name, visible_image=cv2.imencode('.png', visible)[1].tobytes(),
                infrared_image=cv2.imencode('.png', infrared)[1].tobytes(), question=f'the thing {seed}',
                segmentation=as_bytes(mask)) | changes


def write(path, rows):
    from pyarrow import Table
    from pyarrow.parquet import write_table
    write_table(Table.from_pylist(rows), path)
    return path


@pytest.fixture
def rows():
    return [row_of('00001D', 0), row_of('00002N.png', 1), row_of('00001D', 2)]


def test_rows_become_pairs_with_a_sentence_and_a_mask(rows, tmp_path):
    referring = ReferringSet(write(tmp_path / 'a.parquet', rows))
    assert referring.names == ['00001D-0', '00002N-0', '00001D-1'] and len(referring) == 3
    for referred, row in zip(referring, rows, strict=True):
        stored = cv2.imdecode(np.frombuffer(row['visible_image'], np.uint8), cv2.IMREAD_COLOR)
        assert np.array_equal(referred.visible, stored) and referred.infrared.shape == (12, 20)
        assert np.array_equal(referred.mask, np.load(BytesIO(row['segmentation'])) > 0)
        assert (referred.expression, referred.image) == (row['question'], row['image_name'].removesuffix('.png'))


def test_parts_are_read_in_order_and_counted_together(rows, tmp_path):
    for name, part in (('mm_ris_train_part2', rows[1:]), ('mm_ris_train_part1', rows[:1]), ('other', rows[:1])):
        write(tmp_path / f'{name}.parquet', part)
    names = ReferringSet(tmp_path / 'mm_ris_train_*.parquet').names
    assert names == ['00001D-0', '00002N-0', '00001D-1'] and len(ReferringSet(tmp_path)) == 4


def test_more_rows_than_a_batch(tmp_path):
    rows = [row_of(f'{index:03}', index) for index in range(40)]
    assert [each.expression for each in ReferringSet(write(tmp_path / 'a.parquet', rows))] == [
        f'the thing {index}' for index in range(40)]


def test_unpacked_folders_are_pairs_with_texts_and_masks(rows, tmp_path):
    place, counted = write(tmp_path / 'a.parquet', rows), []
    root = unpack_referring(place, tmp_path / 'out', lambda *step: counted.append(step))
    pairs = find_pairs(root, 'ir', 'vi')
    assert [pair.name for pair in pairs] == ['00001D-0', '00001D-1', '00002N-0'] and counted[-1][1:] == (3, 3)
    labels = IndexMasks('masks', ['background', 'referred'], root)
    for referred in ReferringSet(place):
        assert np.array_equal(labels.read(referred.name, (12, 20)) == 1, referred.mask)
        assert np.array_equal(read_image(root / f'ir/{referred.name}.png'), referred.infrared)
        assert (root / f'texts/{referred.name}.txt').read_text() == f'{referred.expression}\n'


@pytest.mark.parametrize(('changes', 'message'), [
    (dict(image_name='../1'), r"invalid names of pairs:\n *'../1' has a part '..'"),
    (dict(question=' '), 'row 0: the sentence'),
    (dict(question=None), r'a.parquet, row 0: the sentence \(question\) is None'),
    (dict(visible_image=b'no image'), r'row 0 \(1\): visible_image is .*; expected the bytes of an image file'),
    (dict(infrared_image=None), 'infrared_image is None; expected the bytes'),
    (dict(segmentation=b'no array'), 'segmentation is not a NumPy file'),
    (dict(segmentation=as_bytes(np.zeros(3))), r'segmentation is \(3,\) of ndarray'),
    (dict(segmentation=as_bytes(np.array([[None]], object))), 'is not a NumPy file: .*allow_pickle'),
    (dict(segmentation=as_bytes(np.zeros((12, 21)))), 'visible_image 20x12, segmentation 21x12')])
def test_wrong_rows_are_named(changes, message, tmp_path):
    with pytest.raises(DataError, match=message):
        list(ReferringSet(write(tmp_path / 'a.parquet', [row_of('1', 0, **changes)])))


def test_wrong_files_are_named(rows, tmp_path):
    with pytest.raises(DataError, match='no parquet file at .*(.|\n)*MM-RIS is at'):
        ReferringSet(tmp_path / 'none.parquet')
    (tmp_path / 'b.parquet').write_text('no parquet')
    with pytest.raises(DataError, match='Cannot read .*b.parquet as a parquet file'):
        ReferringSet(tmp_path / 'b.parquet')
    lacking = [{key: value for key, value in row.items() if key != 'segmentation'} for row in rows]
    with pytest.raises(DataError, match="c.parquet has no column 'segmentation'; it has image_name"):
        ReferringSet(write(tmp_path / 'c.parquet', lacking))
