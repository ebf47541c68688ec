"""Render the records of an image or a pair for the terminal, as `vlfusion text show` prints them."""

from collections.abc import Iterator
from textwrap import indent

from vlfusion.errors import DataError, printable
from vlfusion.language.lookup import Records
from vlfusion.language.store import FAILURES, STAGES
from vlfusion.language.subjects import Subject, content_of
from vlfusion.language.words import join, place

#: Parts that make the records of each stage, by their names in a record.
_MAKERS = {'observations': ('captioners',), 'paragraphs': ('prompt', 'llm'), 'features': ('encoder',)}
#: Facts with a line of their own, or in another stage. All others are printed by name.
_PLACED = ('keys', 'images', 'texts', 'captioners', 'prompt', 'llm', 'encoder', 'observations', 'text', 'seconds',
           'date', 'vlfusion', 'model', 'prompt_tokens', 'completion_tokens', 'finish_reason', 'cost', 'tokens', 'dim')


def entry_of(records: Records, subject: Subject) -> dict:
    """Return everything in the store about a subject as plain data: `images`, `failure`, and each stage's records.

    Raises:
        DataError: an image cannot be read.
    """
    content = content_of(subject)
    stages = records.stages(*content)
    return {
        'images': [{'file': str(image.path), 'sha256': part.sha256, 'modality': part.modality}
                   for image, part in zip(subject.images, content, strict=True)],
        'failure': _failure(records, stages['features'][0].key),
        **{stage: [{'key': stored.key, 'file': str(stored.path), 'record': stored.record}
                   | ({'damage': stored.damage} if stored.damage else {}) for stored in of_stage]
           for stage, of_stage in stages.items()}}


def problems(subject: Subject, entry: dict) -> list[str]:
    """Describe the damaged and missing records of an entry; empty if the subject is described."""
    damages = [f'{subject}: {stored["damage"]}' for stage in STAGES for stored in entry[stage] if 'damage' in stored]
    [features] = entry['features']
    if features['record'] is not None or 'damage' in features:
        return damages
    missing = join([stage for stage in STAGES if any(stored['record'] is None for stored in entry[stage])])
    modality = ' and '.join(image['modality'] for image in entry['images'])
    failure = f'; the last run said: {entry["failure"].get("error")}' if entry['failure'] else ''
    return [*damages, f'{subject} ({modality or "no modality"}) has no {missing} under this config{failure}']


def lines(entry: dict) -> Iterator[str]:
    """Yield the lines of an entry: observations, paragraph and features, each with its parts, date and file."""
    for image in entry['images']:
        yield f'{image["file"]} ({image["modality"] or "no modality"})'
        yield f'    sha256    {image["sha256"]}'
    for stage in STAGES:
        for stored in entry[stage]:
            yield f'\n  {stage}' + ('' if stored['record'] else ': damaged' if 'damage' in stored else ': no record')
            if stored['record']:
                yield from _record_lines(stage, stored, of_pair=len(entry['images']) == 2)


def observation_line(observation: dict, name_captioner: bool = False) -> str:
    """Return an observation of a record, with its place and score in brackets."""
    facts = [_fact(observation.get('captioner'))] if name_captioner else []
    if box := observation.get('box'):
        facts.append(f'{place(tuple(box))}, box {" ".join(f"{value:.2f}" for value in box)}')
    facts += [f'{name} {observation[name]:.3g}' for name in ('area', 'score') if observation.get(name) is not None]
    return observation['text'] + (f' [{"; ".join(facts)}]' if facts else '')


def _failure(records: Records, key: str) -> dict | None:
    """Return the error of the last run for a description, if the store keeps one."""
    try:
        return records.store.checked(FAILURES, key) if records.store.has(FAILURES, key) else None
    except DataError as error:
        return {'error': error.problem}


def _record_lines(stage: str, stored: dict, of_pair: bool) -> Iterator[str]:
    record = stored['record']
    if stage == 'observations' and of_pair:
        images = ' and '.join(f'{_fact(image.get("file"))} ({_fact(image.get("modality"))})'
                              for image in record.get('images', ()))
        yield f'    of        {images}'
    for maker in _MAKERS[stage]:
        for part in record.get('captioners', ()) if maker == 'captioners' else [record.get(maker, {})]:
            yield f'    {maker.removesuffix("s"):<10}{_part(part)}'
    for observation in record.get('observations', ()):
        yield f'      - {observation_line(observation, name_captioner=len(record.get("captioners", ())) > 1)}'
    facts = {name: _fact(record.get(name)) for name in _PLACED}
    if stage == 'paragraphs':
        yield f'\n{indent(record["text"], "      ")}\n'
        yield f'    model     {facts["model"]}, ended with {facts["finish_reason"]}'
        yield (f'    tokens    {facts["prompt_tokens"]} read, {facts["completion_tokens"]} written; '
               f'cost in US dollars: {facts["cost"]}')
    if stage == 'features':
        yield f'    tokens    {facts["tokens"]}, {facts["dim"]} features each'
    for name in (name for name in record if name not in _PLACED):
        yield f'    {_fact(name):<9} {_fact(record[name])}'
    seconds = f'{record["seconds"]:.3g}' if 'seconds' in record else 'unknown'
    yield f'    made      {facts["date"]} in {seconds} s by vlfusion {facts["vlfusion"]}'
    yield f'    key       {stored["key"]}'
    yield f'    file      {stored["file"]}'
    if stage == 'features' and stored['file'].endswith('.json'):
        yield f'    array     {stored["file"].removesuffix(".json")}.npy'


def _part(part: dict) -> str:
    """Return a captioner, prompt, LLM or encoder with its settings."""
    name = _fact(part.get('type') or part.get('id'))
    settings = ', '.join(f'{key}={value!r}' for key, value in part.items() if key not in ('type', 'id'))
    return f'{name} ({settings})' if settings else name


def _fact(value: object) -> str:
    """Return a fact of a record on one line."""
    if value is None:
        return 'unknown'
    return f'{value:.10g}' if isinstance(value, float) else printable(value, lines=False)
