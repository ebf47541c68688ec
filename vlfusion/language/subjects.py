"""Subjects of descriptions: one image, or both images of a pair."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from vlfusion.imaging.reading.file import read_file
from vlfusion.imaging.reading.rule import AS_STORED, Reading
from vlfusion.imaging.reading.tiff import orientation_of
from vlfusion.language.keys import Content


@dataclass(frozen=True)
class ImageToDescribe:
    """An image file, what the captioners are told it is, such as `infrared`, and the rule by which it is read."""

    path: Path
    modality: str
    reading: Reading = AS_STORED

    @property
    def images(self) -> tuple['ImageToDescribe', ...]:
        """The image itself."""
        return (self,)

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class PairToDescribe:
    """Both sources of a pair, for a prompt that is about pairs."""

    source_a: ImageToDescribe
    source_b: ImageToDescribe

    @property
    def images(self) -> tuple[ImageToDescribe, ...]:
        """Source A, then source B."""
        return self.source_a, self.source_b

    def __str__(self) -> str:
        return f'{self.source_a} with {self.source_b}'


Subject = ImageToDescribe | PairToDescribe


@runtime_checkable
class SourcePair(Protocol):
    """The files of a pair, as data sets list them."""

    path_a: Path
    path_b: Path
    modality_a: str
    modality_b: str
    reading_a: Reading
    reading_b: Reading


def subjects_of(pairs: Iterable[SourcePair], of_pairs: bool) -> list[Subject]:
    """Subjects to be described, each once: the pairs themselves, or their images."""
    both = [PairToDescribe(ImageToDescribe(pair.path_a, pair.modality_a, pair.reading_a),
                           ImageToDescribe(pair.path_b, pair.modality_b, pair.reading_b)) for pair in pairs]
    return list(dict.fromkeys(both if of_pairs else (image for pair in both for image in pair.images)))


def content_of(subject: Subject) -> tuple[Content, ...]:
    """The images of a subject by what is in them; DataError where a file cannot be read."""
    return tuple(Content(image_digest(image.path, image.reading), image.modality) for image in subject.images)


def image_digest(path: str | os.PathLike, reading: Reading = AS_STORED) -> str:
    """The SHA-256 of a file's bytes: the same image under another name is the same image.

    Turned upright, or read by a rule, it is another image, whose hash is that of both: `SHA-256 orientation=6 RULE`.

    Raises:
        DataError: the file cannot be read.
    """
    data = read_file(path)
    digest = hashlib.sha256(data).hexdigest()
    orientation = orientation_of(data, reading.page)
    seen = ' '.join([digest, *([f'orientation={orientation}'] if orientation > 1 else []), str(reading)]).strip()
    return digest if seen == digest else hashlib.sha256(seen.encode()).hexdigest()
