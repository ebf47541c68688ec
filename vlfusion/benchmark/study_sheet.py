"""The hardest test pictures of a study, with what was found drawn over them, as a figure."""

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vlfusion.analysis.contact_sheet import contact_sheet
from vlfusion.analysis.numbers import numeral
from vlfusion.data.names import file_names
from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.drawing import colours_of, draw
from vlfusion.downstream.interfaces import Mask
from vlfusion.downstream.scoring.set_scores import SetScores
from vlfusion.downstream.training import read_picture
from vlfusion.files import make_folder, whole
from vlfusion.imaging.images import write_image

#: Pictures of the figure, and methods beside the labels.
MOST, COLUMNS = 6, 6
LABELS = 'labels'


def worst_cases(scores: Mapping[str, SetScores], most: int = MOST) -> list[str]:
    """Names of the images with the lowest main score, in the mean over all rows; the worst first."""
    by_image: dict[str, list[float]] = {}
    for of_row in scores.values():
        for row in of_row.rows:
            by_image.setdefault(row['name'], []).append(row[of_row.columns[0]])
    means = {name: np.mean(values).item() for name, values in by_image.items()}
    finite = [name for name, mean in means.items() if np.isfinite(mean)]
    return sorted(finite, key=lambda name: (means[name], name))[:most]


def draw_cases(out: Path, names: Sequence[str], rows: Sequence[str], pictures: Mapping[str, Mapping[str, Path]],
               found: Mapping[str, Mapping[str, Boxes | Mask]], labels: Mapping[str, Boxes | Mask],
               scores: Mapping[str, SetScores], classes: ClassTable) -> Path:
    """Write a figure, `out/worst.png`: a line for each image, a column for the labels and for each row of the table.

    Args:
        out: folder of the figure; the drawn pictures lie in `out/drawn`.
        names: names of the images.
        rows: rows of the table, the best first; the first `COLUMNS` are drawn.
        pictures: file of each picture, by row and name.
        found: boxes or mask of each picture, by row and name.
        labels: label of each picture.
        scores: scores of each row.
        classes: the class table.
    """
    shown = list(rows)[:COLUMNS]
    if (out / 'drawn').is_dir():
        shutil.rmtree(out / 'drawn')  # pictures of an earlier run
    files = file_names(list(names))
    folders = {title: out / 'drawn' / folder for title, folder in file_names([LABELS, *shown]).items()}
    for name in names:
        truth = labels[name]
        beside = truth if isinstance(truth, Boxes) else None
        drawn = {LABELS: draw(read_picture(pictures[shown[0]][name]), truth, classes)} | {
            row: draw(read_picture(pictures[row][name]), found[row][name], classes, beside) for row in shown}
        for title, picture in drawn.items():
            path = folders[title] / f'{files[name]}.png'
            make_folder(path.parent)
            write_image(path, np.ascontiguousarray(picture[..., ::-1]))
    column = next(iter(scores.values())).columns[0]
    by_row = {row: {line['name']: line[column] for line in scores[row].rows} for row in shown}
    texts = {files[name]: f'{name}: {column} ' + ', '.join(
        f'{numeral(by_row[row].get(name, math.nan), ".2f")} ({row})' for row in shown) for name in names}
    sheet = contact_sheet({title: f'{folder}/{{name}}.png' for title, folder in folders.items()},
                          [files[name] for name in names], texts=texts,
                          note=lambda _: None)
    from matplotlib.patches import Patch
    colours = colours_of(classes)
    sheet.legend(handles=[Patch(color=np.array(colours[number]) / 255, label=name)
                          for number, name in enumerate(classes.names) if number != classes.void],
                 loc='upper center', bbox_to_anchor=(0.5, 0), ncols=6, frameon=False, fontsize=8)
    with whole(out / 'worst.png') as file:
        sheet.savefig(file, format='png', dpi=150, bbox_inches='tight')
    return out / 'worst.png'
