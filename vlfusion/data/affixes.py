"""Prefixes and suffixes that the file names of a folder share, such as the `_fused` of `12_fused.png`."""

import re
from collections.abc import Collection, Mapping


def common_affix(names: Collection[str], files: Collection[str]) -> tuple[str, str] | None:
    """Find the prefix and suffix that turn every name into the name of a file.

    Words and numbers are never split: `1` is not a part of `12`.

    Args:
        names: names of pairs.
        files: file names without suffixes such as `.png`; there may be more files than names.

    Returns:
        Prefix and suffix. None if nothing fits all names, if several choices fit, or if a file has the name of a pair.

    >>> common_affix(['1', '12'], ['1_fused', '12_fused', 'notes'])
    ('', '_fused')
    >>> common_affix(['1', '2'], ['1_mask', '1_fused', '2_mask', '2_fused'])
    >>> common_affix(['1'], ['12'])
    """
    files = set(files)
    if not names or files.intersection(names):
        return None
    longest = max(names, key=len)
    choices = {(file[:start], file[start + len(longest):]) for file in files
               for start in range(len(file)) if file.startswith(longest, start)}
    fitting = [(head, tail) for head, tail in choices
               if all(head + name + tail in files and _apart(head, name) and _apart(name, tail) for name in names)]
    return fitting[0] if len(fitting) == 1 else None


def find_affixes(folders: Mapping[str, Collection[str]],
                 names: Collection[str] | None = None) -> dict[str, tuple[str, str]]:
    """Find the common affix of each folder whose file names otherwise equal those of another folder.

    Args:
        folders: names of the files, by folder.
        names: the pairs to match; None for all.

    >>> find_affixes({'ir': ['1', '2'], 'vi': ['1', '2'], 'fused': ['1_out', '2_out']})
    {'fused': ('', '_out')}
    """
    for plain in folders.values():
        stems = plain if names is None else set(names).intersection(plain)
        affixes = {folder: affix for folder, files in folders.items() if (affix := common_affix(stems, files))}
        if affixes:
            return affixes
    return {}


def differing_tails(names_a: Collection[str], names_b: Collection[str]) -> tuple[str, str] | None:
    """Find the last parts by which the names of two sources differ, such as `_T` and `_W`, even in one folder.

    >>> differing_tails(['1_T', '2_T'], ['1_W', '2_W'])
    ('_T', '_W')
    >>> differing_tails(['1_T', '1_W'], ['1_T', '1_W'])
    ('_T', '_W')
    >>> differing_tails(['1_T', '2_T'], ['1_W', '3_W'])
    """
    stems: dict[str, set[str]] = {}
    for name in {*names_a, *names_b}:
        if match := re.fullmatch(r'(.+?)([-_. ][^-_. ]+)', name):
            stems.setdefault(match[2], set()).add(match[1])
    if len(stems) != 2 or len(set(map(frozenset, stems.values()))) != 1:
        return None
    [stem, *_] = stems[min(stems)]
    first, second = sorted(stems)
    return (second, first) if stem + first not in names_a else (first, second)


def affix_in_words(what: str, affix: tuple[str, str]) -> str:
    """Describe an affix in a sentence.

    >>> affix_in_words('the fused folder', ('', '_out'))
    'All names of the fused folder end in _out: pairing without it.'
    """
    head, tail = affix
    parts = [f'begin with {head}'] * bool(head) + [f'end in {tail}'] * bool(tail)
    return f'All names of {what} {" and ".join(parts)}: pairing without {"it" if len(parts) == 1 else "them"}.'


def _apart(left: str, right: str) -> bool:
    """Tell whether two parts of a name can be separated without splitting a word or number."""
    return not (left and right and (left[-1].isalpha() and right[0].isalpha()
                                    or left[-1].isdigit() and right[0].isdigit()))
