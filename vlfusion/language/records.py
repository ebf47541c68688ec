"""The form of records. A store may have been filled by others, so what is read from it is checked first."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from vlfusion.errors import DataError, short_repr
from vlfusion.language.answers import encodable, readable
from vlfusion.language.interfaces import Observation

#: Lists and dicts inside each other that a record may have.
DEPTH = 40
_KINDS = {'a text': (str,), 'a list': (list,), 'an object': (dict,), 'a number': (int, float),
          'a number or null': (int, float, type(None)), 'a whole number': (int,)}
#: The type of each entry that is read; others may hold any JSON.
_ENTRIES = {
    'text': 'a text', 'model': 'a text', 'finish_reason': 'a text', 'date': 'a text', 'vlfusion': 'a text',
    'error': 'a text', 'kind': 'a text', 'seconds': 'a number', 'prompt_tokens': 'a number or null',
    'completion_tokens': 'a number or null', 'cost': 'a number or null', 'tokens': 'a whole number',
    'dim': 'a whole number', 'prompt': 'an object', 'llm': 'an object', 'encoder': 'an object', 'keys': 'an object',
    'texts': 'a list', 'images': 'a list', 'captioners': 'a list', 'observations': 'a list'}
#: What the entries of a list are.
_ITEMS = {'texts': 'a text', 'images': 'an object', 'captioners': 'an object', 'observations': 'an object'}
#: Without this entry a record of the stage says nothing.
_NEEDED = {'observations': 'observations', 'paragraphs': 'text'}


def parse_record(data: bytes) -> dict:
    """The record in a file, its texts such that they can be encoded.

    Raises:
        ValueError: it holds no JSON object, or is nested too deeply.
    """
    try:
        record = json.loads(data)
        if not isinstance(record, dict):
            raise ValueError('it holds no record')
        return _sound(record, DEPTH)
    except RecursionError:
        raise ValueError('it is nested too deeply') from None


def fault(stage: str, record: Mapping) -> str:
    """A sentence on the first entry of a record that has the wrong form; empty if there is none.

    >>> fault('paragraphs', {'text': 3}), fault('paragraphs', {'text': 'A wall.'})
    ("'text' is 3, not a text", '')
    """
    needed = _NEEDED.get(stage)
    if needed and needed not in record:
        return f'{needed!r} is missing'
    for name, wanted in _ENTRIES.items():
        if name in record and (problem := _wrong(repr(name), record[name], wanted)):
            return problem
    for name, wanted in _ITEMS.items():
        for index, item in enumerate(record.get(name, ())):
            if problem := _wrong(f"'{name}[{index}]'", item, wanted):
                return problem
    try:
        observations(record)
    except DataError as error:
        return error.problem
    return ''


def observations(record: Mapping) -> list[Observation]:
    """The observations that a record keeps.

    Raises:
        DataError: one of them has no text, or a box or a number that makes no sense.
    """
    return [_observation(index, entry) for index, entry in enumerate(record.get('observations', ()))]


def observation_facts(observation: Observation) -> dict:
    """An observation as a record keeps it; the record of its scene has the modality."""
    facts = asdict(observation) | {'text': readable(observation.text)}
    del facts['modality']
    return facts


def texts_of(record: Mapping) -> tuple[str, ...]:
    """Texts that the encoder reads of a record one by one: its text, or the texts of a structured answer.

    Features that somebody made by hand may not say of what they are.
    """
    return tuple(record.get('texts') or ([record['text']] if 'text' in record else ()))


def paragraph_of(record: Mapping | None) -> str | None:
    """The paragraph of a record, or the texts of a structured answer on lines of their own; None without a record."""
    return record and '\n'.join(texts_of(record))


def _observation(index: int, entry: Mapping) -> Observation:
    name = f'observations[{index}]'
    problem = '' if 'text' in entry else f"'{name}.text' is missing"
    problem = problem or _wrong(f"'{name}.text'", entry['text'], 'a text')
    for key in ('area', 'score'):
        problem = problem or _wrong(f"'{name}.{key}'", entry.get(key), 'a number or null')
    box = entry.get('box')
    if box is not None and not (isinstance(box, list) and len(box) == 4 and not any(
            _wrong('', value, 'a number') for value in box)):
        problem = problem or f"'{name}.box' is {short_repr(box, 60)}, not four numbers or null"
    if problem:
        raise DataError(problem)
    try:
        return Observation(entry['text'], tuple(box) if box else None, entry.get('area'), entry.get('score'))
    except DataError as error:
        raise DataError(f"'{name}': {error.problem}") from None


def _wrong(name: str, value: Any, wanted: str) -> str:
    right = isinstance(value, _KINDS[wanted]) and not isinstance(value, bool)
    right = right and not (isinstance(value, float) and not math.isfinite(value))
    return '' if right else f'{name} is {short_repr(value, 60)}, not {wanted}'


def _sound(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if depth == 0 and isinstance(value, dict | list):
        raise ValueError(f'it is nested more than {DEPTH} deep')
    if isinstance(value, dict):
        return {encodable(key): _sound(item, depth - 1) for key, item in value.items()}
    return [_sound(item, depth - 1) for item in value] if isinstance(value, list) else value
