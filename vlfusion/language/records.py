"""Form of records. Others may have filled a store, so every record is checked when it is read."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from vlfusion.errors import DataError, short_repr
from vlfusion.language.answers.clean import encodable, readable
from vlfusion.language.interfaces import Observation

#: Most levels of nested lists and dicts in a record.
DEPTH = 40
_TYPES = {'a text': (str,), 'a list': (list,), 'an object': (dict,), 'a number': (int, float),
          'a number or null': (int, float, type(None)), 'a whole number': (int,)}
#: Types of the entries that are read. Other entries may hold any JSON.
_ENTRIES = {
    'text': 'a text', 'model': 'a text', 'finish_reason': 'a text', 'date': 'a text', 'vlfusion': 'a text',
    'error': 'a text', 'kind': 'a text', 'seconds': 'a number', 'prompt_tokens': 'a number or null',
    'completion_tokens': 'a number or null', 'cost': 'a number or null', 'tokens': 'a whole number',
    'dim': 'a whole number', 'prompt': 'an object', 'llm': 'an object', 'encoder': 'an object', 'keys': 'an object',
    'texts': 'a list', 'images': 'a list', 'captioners': 'a list', 'observations': 'a list'}
#: Types of the items of each list.
_ITEMS = {'texts': 'a text', 'images': 'an object', 'captioners': 'an object', 'observations': 'an object'}
#: The entry that a record of a stage must have.
_REQUIRED = {'observations': 'observations', 'paragraphs': 'text'}


def parse_record(data: bytes) -> dict:
    """Parse the record in a file. Lone surrogates in its texts are replaced, so that they can be encoded.

    Raises:
        ValueError: the file holds no JSON object, or the object is nested too deeply.
    """
    try:
        record = json.loads(data)
        if not isinstance(record, dict):
            raise ValueError('it holds no record')
        return _sound(record, DEPTH)
    except RecursionError:
        raise ValueError('it is nested too deeply') from None


def fault(stage: str, record: Mapping) -> str:
    """Describe the first entry of a record that has the wrong form; empty if all are right.

    >>> fault('paragraphs', {'text': 3}), fault('paragraphs', {'text': 'A wall.'})
    ("'text' is 3, not a text", '')
    """
    required = _REQUIRED.get(stage)
    if required and required not in record:
        return f'{required!r} is missing'
    for name, expected in _ENTRIES.items():
        if name in record and (problem := _type_error(repr(name), record[name], expected)):
            return problem
    for name, expected in _ITEMS.items():
        for index, item in enumerate(record.get(name, ())):
            if problem := _type_error(f"'{name}[{index}]'", item, expected):
                return problem
    try:
        observations(record)
    except DataError as error:
        return error.problem
    return ''


def observations(record: Mapping) -> list[Observation]:
    """Return the observations in a record.

    Raises:
        DataError: an observation has no text, or an invalid box or number.
    """
    return [_observation(index, entry) for index, entry in enumerate(record.get('observations', ()))]


def observation_facts(observation: Observation) -> dict:
    """Return an observation in the form of a record. Its modality is left out, because the record's images have it."""
    facts = asdict(observation) | {'text': readable(observation.text)}
    del facts['modality']
    return facts


def texts_of(record: Mapping) -> tuple[str, ...]:
    """Return the texts that the encoder reads one by one: the text of a record, or those of a structured answer.

    They are empty for features from elsewhere that do not name their text.
    """
    return tuple(record.get('texts') or ([record['text']] if 'text' in record else ()))


def paragraph_of(record: Mapping | None) -> str | None:
    """Return the paragraph of a record, or the texts of a structured answer line by line; None without a record."""
    return record and '\n'.join(texts_of(record))


def _observation(index: int, entry: Mapping) -> Observation:
    name = f'observations[{index}]'
    problem = '' if 'text' in entry else f"'{name}.text' is missing"
    problem = problem or _type_error(f"'{name}.text'", entry['text'], 'a text')
    for key in ('area', 'score'):
        problem = problem or _type_error(f"'{name}.{key}'", entry.get(key), 'a number or null')
    box = entry.get('box')
    if box is not None and not (isinstance(box, list) and len(box) == 4 and not any(
            _type_error('', value, 'a number') for value in box)):
        problem = problem or f"'{name}.box' is {short_repr(box, 60)}, not four numbers or null"
    if problem:
        raise DataError(problem)
    try:
        return Observation(entry['text'], tuple(box) if box else None, entry.get('area'), entry.get('score'))
    except DataError as error:
        raise DataError(f"'{name}': {error.problem}") from None


def _type_error(name: str, value: Any, expected: str) -> str:
    valid = isinstance(value, _TYPES[expected]) and not isinstance(value, bool)
    valid = valid and not (isinstance(value, float) and not math.isfinite(value))
    return '' if valid else f'{name} is {short_repr(value, 60)}, not {expected}'


def _sound(value: Any, depth: int) -> Any:
    """Return JSON data with encodable texts; ValueError if it is nested too deeply."""
    if isinstance(value, str):
        return encodable(value)
    if depth == 0 and isinstance(value, dict | list):
        raise ValueError(f'it is nested more than {DEPTH} deep')
    if isinstance(value, dict):
        return {encodable(key): _sound(item, depth - 1) for key, item in value.items()}
    return [_sound(item, depth - 1) for item in value] if isinstance(value, list) else value
