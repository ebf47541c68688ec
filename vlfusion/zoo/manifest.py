"""Manifests: the files of a data set in public git repositories, and their places under a data root.

A manifest is a text file with three kinds of lines. Their fields are separated by tabs.

    repository  OWNER/NAME  COMMIT            where the files of the next lines are
    folder      IN THE REPOSITORY  PLACE      a folder, and its place under the data root
    BLOB  SIZE  NAME  [NEW NAME]              a file: git blob id, bytes, name, and its name here if that differs

`scripts/manifests.py` writes them.
"""

from pathlib import Path

from vlfusion.errors import ConfigError
from vlfusion.zoo.facts import stays_below
from vlfusion.zoo.remote import RemoteFile, is_digest


def read_manifest(path: Path) -> dict[str, RemoteFile]:
    """Return the public file of each place, such as `ivf/TNO/ir/01.png`.

    Raises:
        ConfigError: the file cannot be read, or a line has none of the three forms. Names the line.
    """
    files, repo, commit, folder, place = {}, '', '', '', ''
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(f'{path} cannot be read: {error}.', 'Install the package again.') from error
    for number, line in enumerate(lines, 1):
        match line.split('\t'):
            case ['repository', repo, commit] if is_digest(commit):
                pass
            case ['folder', folder, place] if stays_below(place):
                pass
            case [blob, size, name, *new] if is_digest(blob) and size.isdecimal() and len(new) < 2 and repo and (
                    place and stays_below(new[-1] if new else name)):
                files[f'{place}/{new[0] if new else name}'] = RemoteFile(repo, commit, f'{folder}/{name}', blob,
                                                                        int(size))
            case _:
                raise ConfigError(f'{path}, line {number}, is {line[:100]!r}, which is no line of a manifest.',
                                  'Write the manifest by scripts/manifests.py.')
    return files
