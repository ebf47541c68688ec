"""Many pairs from two uploaded folders, fused into a zip archive."""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlfusion.app.equal import command
from vlfusion.app.limits import Limits, gather, show_left_out
from vlfusion.app.models import Models, Settings, overheard
from vlfusion.app.pair import brief, facts, for_visitors, without, without_folders
from vlfusion.app.pictures import write_shown
from vlfusion.data.pairs import Pair, find_pairs
from vlfusion.errors import DataError
from vlfusion.files import file_digest, strict_json, whole
from vlfusion.imaging.picture import Fused

#: Called with a step, the pieces done and the pieces in total.
Step = Callable[[str, int, int], None]
#: Pictures that the page shows.
SHOWN = 24


@dataclass(frozen=True)
class Batch:
    """Fused pairs of two folders.

    Attributes:
        folder: folder of all files.
        archive: zip archive of `NAME.png` and of `fused.json`, the record.
        shown: copies of the first results for the page, with their names.
        fused: names of the fused pairs.
        failed: reasons of the pairs that could not be fused, by name.
        notes: notes of the run.
        command: the same as a command line.
    """

    folder: Path
    archive: Path
    shown: list[tuple[Path, str]]
    fused: list[str]
    failed: dict[str, str]
    notes: list[str]
    command: str


def fuse_folders(models: Models, settings: Settings, uploads_a: Sequence[Path], uploads_b: Sequence[Path],
                 folder: Path, limits: Limits, step: Step = lambda *_: None) -> Batch:
    """Fuse the pairs of two folders.

    Args:
        models: models of the page.
        settings: settings of the visitor.
        uploads_a, uploads_b: pictures of each source, or one zip archive of them; pairs share a name.
        folder: empty folder for the work.
        limits: limits of the page.
        step: progress.

    Raises:
        Refused: a picture has no partner, an upload exceeds the limits, or no pair can be fused.
    """
    with models.use(settings) as fuser, overheard() as notes, without_folders(folder):
        left_out = [name for uploads, side in ((uploads_a, 'A'), (uploads_b, 'B'))
                    for name in gather(uploads, folder / side, limits)]
        pairs = _pairs(folder, settings.modality_a or fuser.texts.modality_a,
                       settings.modality_b or fuser.texts.modality_b)
        shown, records, failed = [], {}, {}
        out = folder / 'fused'

        def finish(pair: Pair, fused: Fused) -> None:
            path = out / f'{pair.name}.png'
            fused.save(path)
            if len(shown) < SHOWN:
                shown.append((write_shown(folder / 'shown' / f'{pair.name}.png', fused.colour), pair.name))
            records[pair.name] = _record(pair, fused, path)
            step('Fusing', len(records) + len(failed), len(pairs))

        def fail(pair: Pair, error: DataError) -> None:
            failed[pair.name] = error

        step('Fusing', 0, len(pairs))
        for _ in fuser.fuse_many(pairs, finish=finish, failed=fail, describing=step,
                                 instruction=settings.instruction or None):
            pass
        if not records:
            raise next(iter(failed.values()))
        record = facts(fuser, settings) | {
            'modality_a': pairs[0].modality_a, 'modality_b': pairs[0].modality_b,
            'pairs': [records[name] for name in sorted(records)],
            'failed': [_digests(pair) for pair in pairs if pair.name in failed]}
        archive = folder / 'fused.zip'
        with whole(archive) as temporary, zipfile.ZipFile(temporary, 'w') as opened:
            for name in sorted(records):
                opened.write(out / f'{name}.png', f'{name}.png')
            opened.writestr('fused.json', strict_json(record))
    reasons = {name: without(f'{error.problem} {for_visitors(error.remedy)}', folder) for name, error in failed.items()}
    lasting = [without(note, folder) for note in notes]
    return Batch(folder, archive, sorted(shown, key=lambda item: item[1]), sorted(records), reasons,
                 [*filter(None, [show_left_out(left_out)]), *lasting],
                 command(brief(settings, fuser), ['A/', 'B/'], 'fused/', models.shown_options, modules=models.modules))


def _pairs(folder: Path, modality_a: str, modality_b: str) -> list[Pair]:
    """Pair the pictures of the folders A and B; names include folders below these."""
    patterns = [f'{side}/**/{{name}}.*' if any(path.is_dir() for path in (folder / side).iterdir()) else side
                for side in 'AB']
    try:
        return find_pairs(folder, *patterns, modality_a=modality_a, modality_b=modality_b)
    except DataError as error:
        raise DataError(error.problem, 'The two files of a pair share one name, in the same letter case. Rename or '
                                       'remove the files that are listed.') from error


def _record(pair: Pair, fused: Fused, path: Path) -> dict[str, str | None]:
    return _digests(pair) | {'fused': file_digest(path), 'alignment': str(fused.alignment) if fused.alignment else None}


def _digests(pair: Pair) -> dict[str, str]:
    """Return what identifies the sources of a pair in a record, because their names may hold those of patients."""
    return {'source_a': file_digest(pair.path_a), 'source_b': file_digest(pair.path_b)}
