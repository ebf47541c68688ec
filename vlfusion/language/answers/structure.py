"""Structured answers: check the JSON of a prompt's schema, and turn it into the texts that an encoder reads."""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

from vlfusion.errors import ConfigError, DataError, needs
from vlfusion.language.interfaces import Completion

#: Function that returns the fault of an answer, or None if it fits.
Check = Callable[[str], str | None]


def schema_check(schema: Mapping) -> Check:
    """Make a check that returns why a text is not JSON of a schema, or None if it is.

    >>> schema_check({'type': 'object', 'required': ['text']})('{}')
    "The answer does not fit the JSON schema: 'text' is a required property."

    Raises:
        ConfigError: jsonschema is not installed, or the schema is invalid.
    """
    with needs('A JSON schema', 'the package jsonschema',
               remedy="pip install 'vlfusion[language]' or 'vlfusion[openai]'"):
        import jsonschema  # noqa: F401
    return _checker(json.dumps(schema))


@cache
def _checker(schema: str) -> Check:
    import jsonschema
    schema = json.loads(schema)
    validator_class = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        validator_class.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ConfigError(f'The prompt has no valid JSON schema: {error.message}.', 'See json-schema.org.') from None
    validator = validator_class(schema)

    def check(text: str) -> str | None:
        try:
            value = parse(text)
        except (ValueError, RecursionError) as error:
            return f'The answer is not JSON: {error}.'
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        return error and f'The answer does not fit the JSON schema: {error.message[:300]}.'

    return check


def parse(text: str) -> Any:
    r"""Parse the JSON of an answer, which may stand in a fenced block.

    >>> parse('```json\n{"a": 1}\n```')
    {'a': 1}

    Raises:
        ValueError: the answer is not JSON.
    """
    fenced = re.fullmatch(r'\s*```\w*\n(.*?)\n?```\s*', text, re.DOTALL)
    return json.loads(fenced[1] if fenced else text)


#: Most opening brackets in an answer at which JSON is tried.
_STARTS = 40


def fitting(text: str, check: Check) -> str:
    """Return the answer or the piece of it that is JSON of a schema; without one, return the answer as it is.

    >>> fitting('Here it is: {"a": 1} Good luck!', schema_check({'type': 'object'}))
    '{"a": 1}'
    """
    return next((piece for piece in (text, *_pieces(text)) if not check(piece)), text)


def is_json(text: str) -> bool:
    """True if a text is JSON."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _pieces(text: str) -> Iterator[str]:
    """Yield pieces that may be JSON: fenced blocks, then objects and lists by length, then a repaired object."""
    if is_json(text):  # perhaps a list with one object
        value = json.loads(text)
        if isinstance(value, list) and len(value) == 1:
            yield json.dumps(value[0], ensure_ascii=False)
        if isinstance(value, str):  # JSON in a string
            yield value
        return
    yield from (block.strip() for block in re.findall(r'```\w*\s*\n(.*?)\n?\s*```', text, re.DOTALL))
    decoder, end, pieces = json.JSONDecoder(), 0, []
    for start in [match.start() for match in re.finditer(r'[{\[]', text)][:_STARTS]:
        if start >= end:
            with suppress(ValueError, RecursionError):
                _, end = decoder.raw_decode(text, start)
                pieces.append(text[start:end])
    yield from sorted(pieces, key=len, reverse=True)
    if 0 <= text.find('{') < text.rfind('}'):
        yield _repaired(text[text.find('{'):text.rfind('}') + 1])


def _repaired(text: str) -> str:
    """Repair JSON with trailing commas, with line breaks in strings, or in Python's notation; empty if that fails."""
    without_commas = re.sub(r',(\s*[}\]])', r'\1', text)
    with suppress(ValueError, RecursionError):
        return json.dumps(json.loads(without_commas, strict=False), ensure_ascii=False)
    try:
        return json.dumps(ast.literal_eval(text), ensure_ascii=False)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return ''


def correction_request(fault: str) -> str:
    """Make the request to correct an answer that does not fit."""
    return f'{fault}\nAnswer again, without this fault.'


def combined(first: Completion, second: Completion) -> Completion:
    """Return the second of two answers, with the tokens, seconds and cost of both."""
    total = {name: None if getattr(first, name) is None or getattr(second, name) is None
             else getattr(first, name) + getattr(second, name)
             for name in ('prompt_tokens', 'completion_tokens', 'seconds', 'cost')}
    return replace(second, **total)


def invalid_answer(model: str, fault: str) -> DataError:
    """Make the error of a second answer that does not fit the schema."""
    return DataError(f'{model} gave two answers that do not fit the schema: {fault}',
                     'Use a stronger model, a simpler schema, or a larger max_tokens.')


def in_order(answer: Any, schema: Mapping) -> Any:
    """Put the keys of an answer that is an object into the order of its schema.

    >>> in_order({'b': 2, 'a': 1}, {'properties': {'a': {}, 'b': {}}})
    {'a': 1, 'b': 2}
    """
    if not isinstance(answer, Mapping):
        return answer
    return {key: answer[key] for key in schema.get('properties', {}) if key in answer} | answer


def texts(answer: Any) -> list[str]:
    """Return the texts that an encoder reads of a structured answer, in order.

    Each string is one text. An object in a list is one text, with its strings joined by commas.

    >>> texts({'scene': 'A street', 'objects': [{'name': 'car', 'place': 'left'}, {'name': 'tree', 'place': 'right'}]})
    ['A street', 'car, left', 'tree, right']
    """
    if isinstance(answer, Mapping):
        return [text for value in answer.values() for text in texts(value)]
    if isinstance(answer, list):
        return [text for item in answer
                for text in ([', '.join(texts(item))] if isinstance(item, Mapping) else texts(item)) if text]
    return [str(answer)] if answer is not None and str(answer).strip() else []
