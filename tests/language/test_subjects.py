"""Images by their content."""

import hashlib
from dataclasses import replace

import pytest
from PIL import Image

from vlfusion.errors import DataError
from vlfusion.imaging.reading.rule import Reading
from vlfusion.language.subjects import content_of, image_digest


def test_digest_is_of_the_content(images, tmp_path):
    copy = tmp_path / 'other name.png'
    copy.write_bytes(images[0].path.read_bytes())
    assert image_digest(copy) == image_digest(images[0].path) != image_digest(images[1].path)
    with pytest.raises(DataError, match='absent.png'):
        image_digest(tmp_path / 'absent.png')


def test_an_image_that_is_read_by_a_rule_is_another_image(images):
    as_stored, stretched, again = (content_of(replace(images[0], reading=Reading.of(given)))
                                   for given in (None, 'minmax', 'minmax'))
    assert as_stored[0].sha256 == image_digest(images[0].path) != stretched[0].sha256 == again[0].sha256
    assert content_of(replace(images[0], reading=Reading.of(page=1))) not in (as_stored, stretched)


def test_an_image_that_is_turned_upright_is_another_image(images, tmp_path):
    exif = Image.Exif()
    digests = set()
    for orientation in (1, 3, 6):
        exif[0x0112] = orientation
        Image.open(images[0].path).save(tmp_path / 'a.png', exif=exif)
        digests.add(image_digest(tmp_path / 'a.png'))
        as_bytes = hashlib.sha256((tmp_path / 'a.png').read_bytes()).hexdigest()
        assert (image_digest(tmp_path / 'a.png') == as_bytes) == (orientation == 1)
    assert len(digests) == 3
