"""Records of the words that guided fused pictures, in the folder of the pictures.

    fused.json   {"vlfusion": "1.0", "pairs": [{"fused": SHA256, "words": {"MRI": "...", "instruction": "..."}}]}

A picture is known by its SHA-256, so a record never speaks of another picture, and holds no name of a file. The page
of `vlfusion app` gives a record of one pair, which is read here too.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import vlfusion
from vlfusion.errors import DataError
from vlfusion.files import file_digest, write_json

#: Name of a record.
RECORD = 'fused.json'


def check_records(pictures: Mapping[str, Path]) -> None:
    """Raise a DataError if a file that is no record has the name of one that these pictures need."""
    for path in {picture.parent / RECORD for picture in pictures.values()}:
        if path.exists() and _read(path) is None:
            raise DataError(f'{path} is no record of fused pictures, and would be overwritten by one.',
                            'Rename it, or choose another --out.')


def write_words(pictures: Mapping[str, Path], words: Mapping[str, Mapping[str, str]]) -> None:
    """Write the words of pictures into the record of their folder; what it says of other pictures there stays.

    Args:
        pictures: files of fused pairs, by the pair's name.
        words: words by the pair's name, and then by what they are about, such as a modality or `instruction`.
    """
    folders: dict[Path, dict[str, Mapping[str, str]]] = {}
    for name, read in words.items():
        folders.setdefault(pictures[name].parent, {})[file_digest(pictures[name])] = read
    for folder, entries in folders.items():
        path = folder / RECORD
        entries = (_words(_read(path) or {}) if path.exists() else {}) | entries
        write_json(path, {'vlfusion': vlfusion.__version__,
                          'pairs': [dict(fused=digest, words=read) for digest, read in entries.items()]})


def read_words(picture: Path) -> dict[str, str] | None:
    """Read the words that guided a fused picture, by what they are about; maybe none.

    Returns:
        None if there is no record in the folder of the picture, or if it does not know the picture.
    """
    path = picture.parent / RECORD
    record = _read(path) if path.is_file() else None
    return None if record is None else _words(record).get(file_digest(picture))


def _words(record: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The words of each picture of a record, by the picture's SHA-256."""
    instruction = {'instruction': record['instruction']} if record.get('instruction') else {}
    words = {}
    for entry in record.get('pairs', [record]):
        digest, read = entry['fused'], entry.get('words', {})
        if isinstance(digest, dict):
            digest = digest['sha256']
        if isinstance(read, list):  # the page writes one paragraph on the pair, or one on each source
            about = ['pair'] if len(read) == 1 else [entry[f'source_{side}']['modality'] for side in 'ab'[:len(read)]]
            read = dict(zip(about, read, strict=True))
        words[digest] = {**read, **instruction}
    return words


def _read(path: Path) -> dict[str, Any] | None:
    """The content of a record; None if the file is something else."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        return content if 'vlfusion' in content and isinstance(_words(content), dict) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
