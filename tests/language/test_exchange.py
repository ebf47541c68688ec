"""Export, read and compare: exact, in both layouts, and nothing is overwritten or pickled."""

import shutil
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest
import torch

from vlfusion.data import PairDataset
from vlfusion.data.exchange import export_hdf5, export_vlf, import_features, import_texts
from vlfusion.data.hdf5 import Hdf5PairDataset
from vlfusion.data.text import FeatureFiles
from vlfusion.errors import ConfigError, DataError
from vlfusion.language.pipeline import DescriptionPipeline, ImageToDescribe

WHOLE = [dict(type='LoadPair'), dict(type='PackPair')]


@pytest.fixture
def root(tmp_path):
    """Lytro-like folders of two subsets with a pair each."""
    generator = np.random.default_rng(0)
    for file in ('near/1', 'near/sub/2', 'far/1', 'far/sub/2'):
        path = tmp_path / f'Toy/{file}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), generator.integers(0, 256, (20, 24, 3), dtype=np.uint8))
    return tmp_path / 'Toy'


@pytest.fixture
def build(root, language, encoder):
    """Builds the data set of these pairs, all of which are described."""
    subsets = dict(top=dict(source_a='near', source_b='far'), sub=dict(source_a='near/sub', source_b='far/sub'))
    build = partial(PairDataset, 'mff', root, subsets=subsets, language=language, pipeline=WHOLE)
    pipeline = DescriptionPipeline(language)
    pipeline.encoder = encoder
    pipeline.run([ImageToDescribe(path, modality) for pair in build().pairs for path, modality in images_of(pair)])
    return build


@pytest.fixture
def dataset(build):
    return build(text_source=dict(stream='pair/paragraph'))


def images_of(pair):
    return (pair.path_a, pair.modality_a), (pair.path_b, pair.modality_b)


@pytest.mark.slow
def test_the_layout_of_vlf_and_back(dataset, language, tmp_path):
    places = export_vlf([dataset, dataset], tmp_path / 'out')
    assert places == {'TextFeature': tmp_path / 'out/TextFeature/MFF/Toy', 'Text': tmp_path / 'out/Text/MFF/Toy'}
    files = sorted(str(path.relative_to(tmp_path / 'out')) for path in (tmp_path / 'out').rglob('*') if path.is_file())
    assert files == sorted(
        f'{kind}/MFF/Toy/{source}{name}{ending}' for name in ('top/1', 'sub/2') for kind, source, ending in
        (('Text', 'NEAR/', '.txt'), ('Text', 'FAR/', '.txt'), ('TextFeature', '', '.npy')))
    reader = FeatureFiles(tmp_path / 'out', 'TextFeature/MFF/Toy/{name}.npy')
    for pair in dataset.pairs:
        array = np.load(tmp_path / f'out/TextFeature/MFF/Toy/{pair.name}.npy', allow_pickle=False)
        assert array.dtype == np.float32 and array.shape == (1, *dataset.text_sources['text'].load(pair).shape)
        np.testing.assert_array_equal(reader.load(pair), dataset.text_sources['text'].load(pair))
        for source, (path, modality) in zip(('NEAR', 'FAR'), images_of(pair), strict=True):
            text = (tmp_path / f'out/Text/MFF/Toy/{source}/{pair.name}.txt').read_bytes().decode()
            assert text == DescriptionPipeline(language).paragraph(ImageToDescribe(path, modality))


@pytest.mark.slow
def test_one_stream_of_the_pair(build, tmp_path):
    one = build(text_source=dict(stream='source_b/paragraph'))
    export_vlf([one], tmp_path / 'out', 'Named')
    exported = np.load(tmp_path / 'out/TextFeature/MFF/Named/top/1.npy')[0]
    np.testing.assert_array_equal(exported, one.text_sources['text'].load(one.pairs[1]))


@pytest.mark.slow
def test_hdf5_and_back(dataset, tmp_path):
    export_hdf5(dataset, tmp_path / 'toy.h5')
    read = Hdf5PairDataset(tmp_path / 'toy.h5', 'mff', WHOLE[1:])
    for one, other in zip(dataset, read, strict=False):
        assert one['name'] == other['name']
        for key in ('source_a', 'source_b', 'text', 'text_mask'):
            assert torch.equal(one[key], other[key])


@pytest.mark.slow
def test_exported_features_are_imported_and_exported_again(dataset, build, tmp_path, root):
    places = export_vlf([dataset], tmp_path / 'out')
    pattern = 'TextFeature/MFF/Toy/{name}.npy'
    new = import_features(dataset.pairs, places['TextFeature'], root, pattern)
    assert sorted(new) == [root / 'TextFeature/MFF/Toy/sub/2.npy', root / 'TextFeature/MFF/Toy/top/1.npy']
    assert len(import_texts(dataset.pairs, 'mff', places['Text'], root / 'Text/MFF/Toy')) == 4
    assert import_features(dataset.pairs, places['TextFeature'], root, pattern) == [], 'equal files are left alone'
    from_files = build(text_source=dict(files=pattern))
    again = export_vlf([from_files], tmp_path / 'again')
    assert list(again) == ['TextFeature'], 'features from files have no paragraphs in the store'
    for path in places['TextFeature'].rglob('*.npy'):
        assert path.read_bytes() == (again['TextFeature'] / path.relative_to(places['TextFeature'])).read_bytes()
    for path in places['Text'].rglob('*.txt'):
        assert path.read_bytes() == (root / 'Text/MFF/Toy' / path.relative_to(places['Text'])).read_bytes()


@pytest.mark.slow
def test_names_of_two_pairs_are_refused(dataset, tmp_path, root):
    shutil.copytree(root, tmp_path / 'other/Toy')
    cv2.imwrite(str(tmp_path / 'other/Toy/near/1.png'), np.zeros((20, 24), np.uint8))
    other = PairDataset('mff', tmp_path / 'other/Toy', 'near', 'far')
    other.pairs, other.text_sources = [replace(other.pairs[0], name='top/1')], dataset.text_sources
    with pytest.raises(DataError, match='1 names belong to several pairs') as caught:
        export_vlf([dataset, other], tmp_path / 'out')
    assert 'other/Toy/near/1.png' in caught.value.problem and not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_names_that_lead_out_of_the_folder_are_refused(dataset, tmp_path, root):
    dataset.pairs = [replace(dataset.pairs[0], name='../../../x')]
    for write in (lambda: export_vlf([dataset], tmp_path / 'out'),
                  lambda: import_features(dataset.pairs, root, tmp_path / 'out', '{name}.npy'),
                  lambda: import_texts(dataset.pairs, 'mff', root, tmp_path / 'out'),
                  lambda: export_vlf([dataset], tmp_path / 'out', '../x')):
        with pytest.raises(DataError, match='invalid names of pairs'):
            write()
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_a_paragraph_that_is_missing_is_named_before_anything_is_written(dataset, tmp_path):
    path = dataset.pairs[0].path_b
    path.write_bytes(dataset.pairs[1].path_b.read_bytes() + b'x')
    with pytest.raises(DataError, match='1 images are not described yet') as caught:
        export_vlf([dataset], tmp_path / 'out')
    assert str(path) in caught.value.problem and 'vlfusion describe' in caught.value.remedy
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_a_data_set_without_text(build, tmp_path):
    with pytest.raises(ConfigError, match='reads no text'):
        export_vlf([build()], tmp_path / 'out')


@pytest.mark.slow
@pytest.mark.parametrize(('spoil', 'message'), [
    (lambda folder: (folder / 'sub/2.npy').unlink(), 'there is no file'),
    (lambda folder: (folder / 'sub/2.npy').write_bytes(b'no array'), 'cannot be read as an array'),
    (lambda folder: np.save(folder / 'sub/2.npy', np.array([[{}]], object), allow_pickle=True), 'sub/2'),
    (lambda folder: np.save(folder / 'sub/2.npy', np.zeros((2, 3, 4), np.float32)), r'\(2, 3, 4\)'),
])
def test_features_that_cannot_be_imported(dataset, tmp_path, root, spoil, message):
    places = export_vlf([dataset], tmp_path / 'out')
    spoil(places['TextFeature'])
    with pytest.raises(DataError, match=message):
        import_features(dataset.pairs, places['TextFeature'], root, '{name}.npy')
    assert not (root / 'top').exists()


@pytest.mark.slow
def test_other_files_in_the_way_stay(dataset, tmp_path, root):
    places = export_vlf([dataset], tmp_path / 'out')
    (root / 'sub').mkdir()
    (root / 'sub/2.npy').write_bytes(b'mine')
    with pytest.raises(DataError, match='1 different files already exist'):
        import_features(dataset.pairs, places['TextFeature'], root, '{name}.npy')
    assert (root / 'sub/2.npy').read_bytes() == b'mine' and not (root / 'top').exists()


@pytest.mark.slow
def test_texts_that_cannot_be_imported(dataset, tmp_path, root):
    places = export_vlf([dataset], tmp_path / 'out')
    (places['Text'] / 'NEAR').rename(places['Text'] / 'near')
    (places['Text'] / 'near/top/1.txt').write_text(' \n')
    (places['Text'] / 'FAR/top/1.txt').write_bytes(b'\xff\xfe')
    (places['Text'] / 'FAR/sub/2.txt').unlink()
    with pytest.raises(DataError, match='3 texts cannot be imported') as caught:
        import_texts(dataset.pairs, 'mff', places['Text'], root / 'Text')
    for part in ('near/top/1.txt is empty', 'FAR/top/1.txt cannot be read as UTF-8', 'FAR/sub/2.txt'):
        assert part in caught.value.problem
    with pytest.raises(DataError, match='no folder .*nowhere/NEAR'):
        import_texts(dataset.pairs, 'mff', tmp_path / 'nowhere', root / 'Text')
    assert not (root / 'Text').exists()
