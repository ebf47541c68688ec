"""Downloads of a comparison: weights of models and public data sets, found, summed up and loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vlfusion.benchmark.methods import ModelMethod
from vlfusion.benchmark.plan import Plan
from vlfusion.engine.named import locate
from vlfusion.errors import VLFusionError, listing
from vlfusion.files import size_in_words
from vlfusion.zoo.names import entry_of
from vlfusion.zoo.places import not_here, size
from vlfusion.zoo.remote import RemoteFile, Show, fetch_all
from vlfusion.zoo.sets import find_set_at, get_set


@dataclass(frozen=True)
class Needs:
    """Files that a comparison needs and that are not on this machine.

    Attributes:
        models: names and addresses of models.
        sets: missing files of each public data set by their paths here, by the scoped name of the set.
    """

    models: tuple[str, ...]
    sets: Mapping[str, Mapping[Path, RemoteFile]]

    def __str__(self) -> str:
        """Name each download with its size, source and licence; empty if nothing is missing."""
        lines, sizes = [], []
        for name, files in self.sets.items():
            entry = get_set(name)
            sizes.append(sum(file.size or 0 for file in files.values()))
            lines.append(f'{entry.name}: {len(files)} files, {size_in_words(sizes[-1])}, from {entry.address}. '
                         f'Licence: {entry.licence}.')
        for name in self.models:
            entry = entry_of(name)
            sizes.append(entry and size(entry))
            lines.append(f'{name}: {size_in_words(sizes[-1])}, from {entry.source}. '
                         f'Licence: {entry.licence}.' if entry else name)
        if not lines:
            return ''
        known, unknown = [size for size in sizes if size is not None], sizes.count(None)
        total = [size_in_words(sum(known))] if known else []
        total += [f'{unknown} of unknown size'] if unknown else []
        return f'{len(lines)} download{"s" * (len(lines) > 1)}, {" and ".join(total)}:\n{listing(lines, len(lines))}'


def needs_of(plan: Plan) -> Needs:
    """Find what a plan needs and this machine lacks."""
    names = (name for method in plan.methods if isinstance(method, ModelMethod) for name in method.checkpoints)
    models = tuple(name for name in dict.fromkeys(names) if not_here(name))
    sets: dict[str, dict[Path, RemoteFile]] = {}
    for set_plan in plan.datasets:
        folder = Path(set_plan.part.get('data_root', '.'))
        entry, root = find_set_at(folder) or (None, '')
        missing = {path: file for place, file in (entry.files if entry else {}).items()
                   if (path := Path(root, place)).is_relative_to(folder) and not path.exists()}
        if missing:
            sets.setdefault(entry.scoped, {}).update(missing)
    return Needs(models, sets)


def download(needs: Needs, show: Show) -> dict[str, VLFusionError]:
    """Download what is missing.

    Args:
        needs: as `needs_of` returns them.
        show: function that shows the progress.

    Returns:
        The models that could not be had, with the reasons.

    Raises:
        DataError: files of a data set could not be loaded.
        DownloadError: vlfusion is offline, and files of a data set are missing.
    """
    for files in needs.sets.values():
        fetch_all(files, show=show)
    failures = {}
    for name in needs.models:
        try:
            locate(name, show=show)
        except VLFusionError as error:
            failures[name] = error
    return failures
