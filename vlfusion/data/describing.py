"""Descriptions of the images that a config reads."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Event

from mmengine.config import Config

from vlfusion.config import as_config
from vlfusion.data.from_config import fixed_texts, pairs_of, reads_stream
from vlfusion.language.fixed import encode_fixed, missing_fixed
from vlfusion.language.pipeline import DescriptionPipeline, Plan, Report
from vlfusion.language.section import require_section
from vlfusion.language.subjects import Subject


@dataclass(frozen=True)
class Descriptions:
    """Result of `describe`, or the plan of it.

    Attributes:
        fixed: the texts of the config that are about no image.
        new_fixed: those of them that were encoded now, or that a plan would encode.
        pipeline: captioners, LLM, encoder and store; `pipeline.paragraph(subject)` is a description. None where the
            config reads fixed texts alone.
        subjects: the images, or the pairs where the prompt is about pairs.
        report: what became of each subject; None of a plan.
        plan: what is missing, and what it may cost; None of a run.
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
    """Describe the images that a config reads, and keep paragraphs and text features in its text store.

    What is described already is left alone. Several processes may fill one store together.

        done = vlfusion.describe('film/film_ivf_sample', limit=4)
        for image in done.report.done:
            print(image, done.pipeline.paragraph(image))

    Args:
        config: a file, or what `load_config` returns; its `language` section says how to describe.
        splits: of `train`, `val` and `test`; None for all that the config has.
        names: of the pairs whose images are described; None for all.
        limit: how many images (or pairs) at most, the first ones; None for all.
        dry_run: only count what is missing, and estimate what it costs.
        progress: called with a stage, how many of its images are done, how many there are, and what the LLM has spent
            so far, in words.
        stop: once it is set, what has begun is finished and the rest is left.

    Returns:
        What was described, was there before, failed or was left. An image that fails does not stop the others.

    Raises:
        ConfigError: the config has no `language` section, lacks a split, or a part of the section cannot be built.
        UnknownNameError: no pair has one of the names, or a part of the section does not exist.
    """
    config = as_config(config)
    language = require_section(config.get('language'), config.filename)
    fixed = fixed_texts(config)
    new_fixed = (missing_fixed if dry_run else encode_fixed)(language, fixed) if fixed else []
    if fixed and not reads_stream(config):
        return Descriptions(fixed, new_fixed)
    pipeline = DescriptionPipeline(language)
    subjects = pipeline.subjects(pairs_of(config, splits, names))[:limit]
    if dry_run:
        return Descriptions(fixed, new_fixed, pipeline, subjects, plan=pipeline.plan(subjects))
    usage = pipeline.usage

    def show(stage: str, done: int, total: int) -> None:
        tokens = usage.prompt_tokens + usage.completion_tokens
        progress(stage, done, total, f'{tokens} tokens ${usage.cost:.2f}' if stage == 'paragraphs' and tokens else '')

    report = pipeline.run(subjects, progress and show, stop)
    return Descriptions(fixed, new_fixed, pipeline, subjects, report)
