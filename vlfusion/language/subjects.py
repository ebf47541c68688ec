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
    """Image file to be described.

    Attributes:
        path: the file.
        modality: the word for the captioners, such as `infrared`; empty if unknown.
        reading: the reading rule of the file.
    """

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
    """Pair to be described by a prompt about pairs."""

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
    """Files of a pair, as data sets list them."""

    path_a: Path
    path_b: Path
    modality_a: str
    modality_b: str
    reading_a: Reading
    reading_b: Reading


def subjects_of(pairs: Iterable[SourcePair], of_pairs: bool) -> list[Subject]:
    """Return the subjects of pairs, each once: the pairs themselves, or their images."""
    both = [PairToDescribe(ImageToDescribe(pair.path_a, pair.modality_a, pair.reading_a),
                           ImageToDescribe(pair.path_b, pair.modality_b, pair.reading_b)) for pair in pairs]
    return list(dict.fromkeys(both if of_pairs else (image for pair in both for image in pair.images)))


def content_of(subject: Subject) -> tuple[Content, ...]:
    """Return the content and modality of each image of a subject.

    Raises:
        DataError: a file cannot be read.
    """
    return tuple(Content(image_digest(image.path, image.reading), image.modality) for image in subject.images)


def image_digest(path: str | os.PathLike, reading: Reading = AS_STORED) -> str:
    """Return the SHA-256 of a file's bytes, which does not depend on its name.

    If the image is turned upright or read by a rule, the digest is the SHA-256 of `DIGEST orientation=6 RULE`.

    Raises:
        DataError: the file cannot be read.
    """
    data = read_file(path)
    digest = hashlib.sha256(data).hexdigest()
    orientation = orientation_of(data, reading.page)
    facts = ' '.join([digest, *([f'orientation={orientation}'] if orientation > 1 else []), str(reading)]).strip()
    return digest if facts == digest else hashlib.sha256(facts.encode()).hexdigest()
