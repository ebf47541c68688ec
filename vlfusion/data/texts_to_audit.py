"""Collect the texts for `vlfusion.language.audit.check`, from a config's images or from a folder.

The audit is imported inside functions, so that a folder without texts is reported quickly, without torch.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlfusion.errors import DataError

if TYPE_CHECKING:
    from mmengine.config import Config

    from vlfusion.language.lookup import Described


def texts_of_config(config: 'Config', splits: Sequence[str] | None = None, *, try_encoder: bool = False,
                    show: Callable[[Sequence[int]], Iterable[int]] = iter) -> list['Described']:
    """Return the texts of all images (or pairs) of a config from its text store, grouped by data set and split.

    Args:
        config: a config as `load_config` returns it, with a `language` section.
        splits: some of `train`, `val` and `test`; None for all splits of the config.
        try_encoder: True to encode paragraphs without features, to test whether the encoder accepts them.
        show: wrapper of the loop over encoded texts, for example to show progress.

    Raises:
        ConfigError: the config lacks a split, or a part of the section cannot be built.
    """
    from vlfusion.data.from_config import find_datasets
    from vlfusion.language.lookup import Records
    from vlfusion.language.pipeline import DescriptionPipeline
    from vlfusion.language.subjects import subjects_of
    records, described = Records(config.language), {}
    for split, dataset in find_datasets(config, splits):
        group = f'{dataset.name}/{split}'
        described |= {(group, subject): records.described(group, subject)
                      for subject in subjects_of(dataset.pairs, records.keys.of_pairs)}
    texts = list(described.values())
    waiting = [index for index, text in enumerate(texts) if text.text and 'features' in text.missing]
    if try_encoder and waiting:
        encoder = DescriptionPipeline(config.language).encoder
        for index in show(waiting):
            try:
                texts[index] = replace(texts[index], tokens=int(encoder.encode(texts[index].texts).mask.sum()))
            except DataError as error:
                texts[index] = replace(texts[index], refusal=error.problem)
    return texts


def texts_of_folder(folder: str | os.PathLike) -> list['Described']:
    """Return the `.txt` files below a folder, grouped by the folder that they are in.

    Raises:
        DataError: there are no such files, or one is not UTF-8.
    """
    root = Path(folder)
    paths = sorted(root.rglob('*.txt'))
    if not paths:
        raise DataError(f'There are no .txt files in {root.absolute()}.', 'Give the folder that holds the texts.')

    from vlfusion.language.lookup import Described
    texts = []
    for path in paths:
        try:
            text = path.read_text(encoding='utf-8')
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f'{path} cannot be read as UTF-8 text: {error}.', 'Save it as UTF-8.') from error
        texts.append(Described(str(path.parent.relative_to(root.parent)), str(path), str(path), text))
    return texts
