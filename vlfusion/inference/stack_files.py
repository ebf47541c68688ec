"""Fuse stacks of pictures into files, one for each stack.

torch is imported only after the paths are checked, so that a mistake in a path is reported at once.
"""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vlfusion.console.notes import new_run
from vlfusion.console.progress import ShowProgress
from vlfusion.data.patterns import is_file
from vlfusion.data.stacks import FoundStack, find_stacks
from vlfusion.errors import DataError
from vlfusion.guards.outputs import check_outputs
from vlfusion.imaging.georeference import georeference_of_result
from vlfusion.imaging.images import SUFFIXES
from vlfusion.imaging.reading.rule import AS_STORED, Reading
from vlfusion.inference.folders import FusedFiles, open_fuser, plan_results, tell_model
from vlfusion.zoo.names import require_model

PathLike = str | os.PathLike


def fuse_stacks(checkpoint: PathLike, sources: Sequence[PathLike], out: PathLike, *,
                names: Sequence[str] | PathLike | None = None, order: str | None = None, skip_existing: bool = False,
                grey: bool = False, reading: Mapping[str, Any] | None = None, offline: bool = False,
                show: ShowProgress | None = None, suffix: str | None = None, **options: Any) -> FusedFiles:
    """Fuse stacks of two or more pictures, and write a picture for each.

        vlfusion.fuse_stacks('laplacian-mff', ['near.tif', 'middle.tif', 'far.tif'], 'all_in_focus.tif')
        vlfusion.fuse_stacks('laplacian-mff', ['planes.tif'], 'all_in_focus.tif')        # the pages of a file
        vlfusion.fuse_stacks('mertens', ['stacks/'], 'fused/')             # stacks/01/0.png ...

    A method that takes any number of sources gets them all, and another one fuses pairs in an order; see
    `vlfusion.Fuser.fuse_stack`. Pictures are read one at a time.

    Args:
        checkpoint: as for `vlfusion.fuse`.
        sources: the files of one stack, one file with several pages, a folder of stacks, or folders whose files of one
            name form a stack; see `vlfusion.data.stacks.find_stacks`.
        out: image file to write; a folder if there may be several stacks.
        names: names of the only stacks to fuse, or a text file with a name on each line.
        order: order of the pairs, `tree` (the default), `chain` or `reverse`; only for methods that fuse pairs.
        skip_existing: leave out stacks whose result exists.
        grey: write luminance only.
        reading: rule by which all pictures are read: `range`, `page` and `bands`, as of
            `vlfusion.imaging.reading.rule.Reading.of`.
        offline: True to download no weights.
        show: progress and notes; by default notes are logged and no progress is shown.
        suffix: ending of the results in a folder; by default `.tif` for stacks with a georeferenced picture, and `.png`
            for others.
        options: options of the `Fuser`.

    Returns:
        The files and the errors. A stack that cannot be fused does not stop the others.

    Raises:
        DataError: the sources give no stacks, or `out` has no ending of an image format; or the only stack cannot be
            fused.
        ConfigError: an option has an unknown value, or has no effect on this model.
        CheckpointError: as for `vlfusion.fuse`.
    """
    rule = Reading.of(**reading or {})
    files = plan_stacks(sources, out, names, rule, suffix, options.get('depth', 8))
    require_model(checkpoint)
    check_outputs([out, *files.values()] if os.path.isdir(out) else files.values(),
                  [*sources, *(path for stack in files for path in stack.paths)])
    kept = {stack: path for stack, path in files.items() if skip_existing and path.is_file()}
    stacks = [stack for stack in files if stack not in kept]
    fuser = open_fuser(checkpoint, offline=offline, show=show, **options)
    tell_model(fuser, show, grey)
    if show:
        show.print('It takes all sources of a stack at once.' if fuser.network.fuses_stacks else
                   f'It fuses the sources of a stack in pairs, by the order {order or "tree"}.')
    new_run()
    step = show or (lambda *_, **__: None)
    written, failed = {}, {}
    step('fusing', 0, len(stacks))
    for done, stack in enumerate(stacks, 1):
        try:
            fused = fuser.fuse_stack(stack.paths, order=order, reading=rule, name=stack.name,
                                     progress=partial(step, 'one stack', inner=True))
            reference = georeference_of_result(files[stack], stack.paths, fused.grey.shape)
        except DataError as error:
            failed[stack.name] = error
        else:
            fused.save(files[stack], grey=grey, georeference=reference)
            written[stack.name] = files[stack]
        step('fusing', done, len(stacks))
    if len(stacks) == 1 and failed:
        raise next(iter(failed.values()))
    return FusedFiles(written, {stack.name: path for stack, path in kept.items()}, failed)


def plan_stacks(sources: Sequence[PathLike], out: PathLike, names: Sequence[str] | PathLike | None = None,
                reading: Reading = AS_STORED, suffix: str | None = None, depth: int = 8) -> dict[FoundStack, Path]:
    """Find the stacks to fuse, and the file of each result; see `fuse_stacks`.

    Raises:
        DataError: as for `find_stacks`, or the output fits neither one result nor several.
    """
    stacks, target = find_stacks(sources, names, reading), Path(out)
    first = stacks[0].paths[0]
    single = is_file(Path(sources[0])) or (
        len(sources) == 1 and isinstance(first, Path) and first.parent.samefile(sources[0]))
    if not single and (target.is_file() or target.suffix.lower() in SUFFIXES and not target.is_dir()):
        raise DataError(f'{out} is a file, but the results of stacks in folders go into a folder.',
                        'Give a folder as --out.')
    return plan_results(out, {stack: stack.paths for stack in stacks}, single, suffix, depth)
