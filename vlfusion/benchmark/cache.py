"""A cache of results by their inputs: known results are not computed again, and changed inputs have other keys.

    ROOT/fused/ab/abcd....json          the result of a method on a pair: pictures, seconds, memory
    ROOT/colours/ab/abcd....json        the colour version of a grey picture
    ROOT/scores/12/1234..../56....json  scores of a picture, a file for each time that some were computed
    ROOT/macs/ab/abcd....json           multiply-adds of a model for one size
    ROOT/pictures/9f/9f00....png        a picture by its content

A record is written to a temporary file and then moved, so that records are always complete. A killed run loses only its
unfinished work, and several processes can fill one folder.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from vlfusion.engine.digests import key_of
from vlfusion.files import content_digest, write_whole
from vlfusion.imaging.reading.rule import AS_STORED, Reading


class Cache:
    """A folder of records and pictures.

    Args:
        root: path of the folder; made at the first write.
    """

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)

    def read(self, kind: str, key: str) -> dict[str, Any] | None:
        """The record of a key; None if it does not exist or is damaged, as after a crash of the machine."""
        try:
            return json.loads(self._path(kind, key, '.json').read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def write(self, kind: str, key: str, record: Mapping[str, Any]) -> None:
        """Write a record of plain data; a record of the same key is replaced."""
        write_whole(self._path(kind, key, '.json'), json.dumps(record).encode())

    def add(self, kind: str, key: str, part: Mapping[str, Any]) -> None:
        """Add a part to the records of a key; parts that other processes add at the same time are kept."""
        self.write(kind, f'{key}/{key_of(part=part)}', part)

    def read_all(self, kind: str, key: str) -> dict[str, Any]:
        """All parts that were added to a key, joined."""
        parts: dict[str, Any] = {}
        for path in sorted(self._path(kind, key, '').glob('*.json')):
            parts |= self.read(kind, f'{key}/{path.stem}') or {}
        return parts

    def keep_picture(self, picture: UInt8[np.ndarray, 'h w *bgr']) -> str:
        """Keep a picture, and return the SHA-256 of its file."""
        # Compression level 1 is twice as fast as the default, for a tenth more bytes.
        content = cv2.imencode('.png', picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        digest = hashlib.sha256(content).hexdigest()
        if not self.picture(digest).is_file():
            write_whole(self.picture(digest), content)
        return digest

    def picture(self, digest: str) -> Path:
        """The file of a kept picture."""
        return self._path('pictures', digest, '.png')

    def has_picture(self, digest: str) -> bool:
        """Tell whether a kept picture exists and is unchanged."""
        path = self.picture(digest)
        return path.is_file() and content_digest(path) == digest

    def _path(self, kind: str, key: str, ending: str) -> Path:
        return self.root / kind / key[:2] / f'{key}{ending}'


def image_digest(path: str | os.PathLike, reading: Reading = AS_STORED) -> str:
    """The digest of an image: `content_digest`, or a hash of it and the reading rule if there is one."""
    digest = content_digest(path)
    return key_of(content=digest, reading=str(reading)) if str(reading) else digest
