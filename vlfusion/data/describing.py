"""Describe the images that a config reads, or those of a folder."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from mmengine.config import Config

from vlfusion.config import as_config
from vlfusion.data.from_config import pairs_of, reads_stream, texts_to_encode
from vlfusion.data.pairs import as_pattern
from vlfusion.data.patterns import contents_of, list_files
from vlfusion.errors import ConfigError, DataError, UnknownNameError, did_you_mean
from vlfusion.imaging.images import SUFFIXES
from vlfusion.imaging.reading.image import FLOAT_SUFFIXES
from vlfusion.language.fixed import encode_fixed, missing_fixed
from vlfusion.language.pipeline import DescriptionPipeline, Plan, Report
from vlfusion.language.recipes import find_words
from vlfusion.language.section import INSTRUCTION, require_section, section_of
from vlfusion.language.subjects import ImageToDescribe, Subject


@dataclass(frozen=True)
class Descriptions:
    """Result of `describe`.

    Attributes:
        fixed: the config's texts that are encoded as they are: fixed ones, and those of files.
        new_fixed: those of them that were encoded now, or would be in a dry run.
        pipeline: captioners, LLM, encoder and store; `pipeline.paragraph(subject)` is a description. None if the config
            reads such texts only.
        subjects: the images, or the pairs if the prompt is about pairs.
        report: outcome of each subject; None after a dry run.
        plan: missing descriptions and their estimated cost; None after a real run.
    """

    fixed: list[str]
    new_fixed: list[str]
    pipeline: DescriptionPipeline | None = None
    subjects: Sequence[Subject] = ()
    report: Report | None = None
    plan: Plan | None = None


def describe(config: str | os.PathLike | Config, *, splits: Sequence[str] | None = None,
             names: Iterable[str] | None = None, limit: int | None = None, dry_run: bool = False,
             progress: Callable[[str, int, int, str], None] | None = None,
             stop: Event | None = None) -> Descriptions:
    """Describe the images that a config reads, and store paragraphs and text features in its text store.

    Existing descriptions are kept. Several processes may fill one store together.

        done = vlfusion.describe('film/film_ivf_sample', limit=4)
        for image in done.report.done:
            print(image, done.pipeline.paragraph(image))

    Args:
        config: file or name of a config, or a config as `load_config` returns it; its `language` section tells how to
            describe.
        splits: some of `train`, `val` and `test`; None for all splits of the config.
        names: names of the pairs to describe; None for all.
        limit: largest number of images (or pairs) to describe, the first ones; None for all.
        dry_run: True to only count what is missing and estimate its cost.
        progress: called with the stage, its number of finished images, its total, and the LLM's costs so far in words.
        stop: when it is set, work in progress is finished and the rest is skipped.

    Returns:
        The descriptions, with the outcome of each image. An image that fails does not stop the others.

    Raises:
        ConfigError: the config has no `language` section, lacks a split, or a part of the section cannot be built.
        UnknownNameError: no pair has one of the names, or a part of the section does not exist.
    """
    config = as_config(config)
    language = require_section(config.get('language'), config.filename)
    alike: dict[bool, list[str]] = {}  # texts by whether they have an encoder of their own
    for name, texts in texts_to_encode(config, splits).items():
        alike.setdefault(section_of(name, language) != language, []).extend(texts)
    fixed, new_fixed = [], []
    for own, texts in alike.items():
        fixed += dict.fromkeys(texts)
        new_fixed += (missing_fixed if dry_run else encode_fixed)(
            section_of(INSTRUCTION, language) if own else language, texts)
    if fixed and not reads_stream(config):
        return Descriptions(fixed, new_fixed)
    pipeline = DescriptionPipeline(language)
    subjects = pipeline.subjects(pairs_of(config, splits, names))[:limit]
    return replace(_described(pipeline, subjects, dry_run, progress, stop), fixed=fixed, new_fixed=new_fixed)


def describe_folder(folder: str | os.PathLike, words: str | os.PathLike | Mapping = 'measured', *, modality: str = '',
                    names: Iterable[str] | None = None, limit: int | None = None, dry_run: bool = False,
                    progress: Callable[[str, int, int, str], None] | None = None,
                    stop: Event | None = None) -> Descriptions:
    """Describe the images of a folder, and store paragraphs and text features in the text store.

        done = vlfusion.describe_folder('scans', 'measured', modality='MRI')
        print(*map(done.pipeline.paragraph, done.subjects), sep='\\n')

    Args:
        folder: folder of images; its subfolders are not read.
        words: name of a recipe, config with a `language` section, or such a section. Its prompt is about single images.
        modality: the modality of all images, such as `MRI`, for captioners; empty if unknown.
        names: stems of the files to describe; None for all.
        limit, dry_run, progress, stop: as for `describe`.

    Returns:
        As for `describe`.

    Raises:
        DataError: the folder holds no images.
        UnknownNameError: no image has one of the names; or no recipe, config or part has the name that is given.
        ConfigError: the prompt is about pairs, or a part of the section cannot be built.
    """
    pipeline = DescriptionPipeline(find_words(words).language)
    if pipeline.prompt.of_pair:
        raise ConfigError(f'The prompt {pipeline.prompt.id} is about pairs, but {folder} is one folder of images.',
                          'Give two folders with --source-a and --source-b, or words about single images.')
    files = list_files(Path('.'), as_pattern(folder), (*SUFFIXES, *FLOAT_SUFFIXES))
    if not files:
        raise DataError(f'There is no image in {folder}: it holds {contents_of(Path(folder))}.',
                        f'Give a folder with images that end in {", ".join(SUFFIXES)}.')
    chosen = set(names or ())
    for name in chosen - {file.stem for file in files}:
        raise UnknownNameError(f'No image of {folder} has the name {name!r}.',
                               did_you_mean(name, [file.stem for file in files]))
    subjects = [ImageToDescribe(file.path, modality) for file in files if not chosen or file.stem in chosen][:limit]
    return _described(pipeline, subjects, dry_run, progress, stop)


def _described(pipeline: DescriptionPipeline, subjects: Sequence[Subject], dry_run: bool,
               progress: Callable[[str, int, int, str], None] | None, stop: Event | None) -> Descriptions:
    if dry_run:
        return Descriptions([], [], pipeline, subjects, plan=pipeline.plan(subjects))
    usage = pipeline.usage

    def show(stage: str, done: int, total: int) -> None:
        tokens = usage.prompt_tokens + usage.completion_tokens
        progress(stage, done, total, f'{tokens} tokens ${usage.cost:.2f}' if stage == 'paragraphs' and tokens else '')

    report = pipeline.run(subjects, progress and show, stop)
    return Descriptions([], [], pipeline, subjects, report)
