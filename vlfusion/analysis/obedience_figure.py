"""A figure of obedience: a few pairs under a few held-out instructions, with the sentences below."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vlfusion.analysis.contact_sheet import contact_sheet, write_sheet
from vlfusion.imaging.images import write_image
from vlfusion.language.instructions import Instruction

#: Instructions that are shown if the vocabulary has them: intent, degree and region.
SHOWN = (('lead_a', '', ''), ('lead_b', '', ''), ('lead_b', 'strongly', 'left'), ('brighter', 'strongly', 'top'))
#: Number of pairs that are shown.
ROWS = 3


class Figure:
    """Rows of a figure: the sources, the picture without an instruction, and those under some of `SHOWN`.

    Args:
        folder: folder for the pictures, `pictures/COLUMN/ROW.png`, and for the figure, `obedience.png`.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder, self.columns, self.words = Path(folder), {}, {}

    def add(self, name: str, pictures: Mapping[str, Float[Tensor, '1 h w']], sentences: Sequence[str]) -> None:
        """Write the pictures of a pair, by the titles of their columns, in [0, 1]."""
        row = str(len(self.words) + 1)
        for title, picture in pictures.items():
            self.columns[title] = self.folder / 'pictures' / title.replace(' ', '_')
            levels = np.round(255 * picture[0].double().numpy()).astype(np.uint8)
            write_image(self.columns[title] / f'{row}.png', levels)
        self.words[row] = f'{name}:   ' + '   '.join(f'{place} {text}' for place, text in enumerate(sentences, 1))

    def write(self) -> None:
        """Draw the figure; raise ConfigError if matplotlib is missing."""
        write_sheet(contact_sheet(self.columns, list(self.words), texts=self.words), self.folder / 'obedience.png', 150)


def choose_shown(cases: Sequence[Instruction]) -> list[Instruction]:
    """Choose one instruction for each of `SHOWN`."""
    kinds = {(case.intent, case.degree, case.region): case for case in cases}
    return [kinds[kind] for kind in SHOWN if kind in kinds]
