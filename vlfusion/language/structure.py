"""Structured answers: JSON of a prompt's schema, checked, and turned into the texts that an encoder reads."""

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

#: Says what is wrong with an answer, None if nothing is.
Check = Callable[[str], str | None]


def schema_check(schema: Mapping) -> Check:
    """A function that says what keeps a text from being JSON of a schema, None if nothing does.

    >>> schema_check({'type': 'object', 'required': ['text']})('{}')
    "The answer does not fit the JSON schema: 'text' is a required property."

    Raises:
        ConfigError: jsonschema is not installed, or the schema is none.
    """
    with needs('A JSON schema', 'the package jsonschema',
               remedy="pip install 'vlfusion[language]' or 'vlfusion[openai]'"):
        import jsonschema  # noqa: F401
    return _checker(json.dumps(schema))


@cache
def _checker(schema: str) -> Check:
    import jsonschema
    schema = json.loads(schema)
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ConfigError(f'The prompt has no valid JSON schema: {error.message}.', 'See json-schema.org.') from None
    validator = kind(schema)

    def check(text: str) -> str | None:
        try:
            value = parse(text)
        except (ValueError, RecursionError) as error:
            return f'The answer is not JSON: {error}.'
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        return error and f'The answer does not fit the JSON schema: {error.message[:300]}.'

    return check


def parse(text: str) -> Any:
    r"""The JSON of an answer, also where a model has put it into a fenced block; ValueError where there is none.

    >>> parse('```json\n{"a": 1}\n```')
    {'a': 1}
    """
    fenced = re.fullmatch(r'\s*```\w*\n(.*?)\n?```\s*', text, re.DOTALL)
    return json.loads(fenced[1] if fenced else text)


#: Places in an answer where JSON is looked for.
_STARTS = 40


def fitting(text: str, check: Check) -> str:
    """The JSON in an answer that fits a schema: the answer as a whole, or a piece of it; else the answer as it is.

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
    """Pieces of an answer that may be JSON: fenced blocks, objects and lists from the longest on, repaired ones."""
    if is_json(text):  # perhaps an object in a list of its own
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
    """JSON of an object with a comma too many, with line breaks in strings, or as Python writes it; else empty."""
    without = re.sub(r',(\s*[}\]])', r'\1', text)
    with suppress(ValueError, RecursionError):
        return json.dumps(json.loads(without, strict=False), ensure_ascii=False)
    try:
        return json.dumps(ast.literal_eval(text), ensure_ascii=False)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return ''


def correction_request(fault: str) -> str:
    """Request to correct an answer that does not fit."""
    return f'{fault}\nAnswer again, without this fault.'


def combined(first: Completion, second: Completion) -> Completion:
    """The second of two answers, with what both took."""
    total = {name: None if getattr(first, name) is None or getattr(second, name) is None
             else getattr(first, name) + getattr(second, name)
             for name in ('prompt_tokens', 'completion_tokens', 'seconds', 'cost')}
    return replace(second, **total)


def invalid_answer(model: str, fault: str) -> DataError:
    """The error of an answer that did not fit the schema a second time."""
    return DataError(f'{model} gave an unfit answer twice: {fault}',
                     'Use a stronger model, a simpler schema, or a larger max_tokens.')


def texts(answer: Any) -> list[str]:
    """Texts that an encoder reads of an answer, in the answer's order: each string is one text, but an object in a
    list is one text, its strings joined by commas.

    >>> texts({'scene': 'A street', 'objects': [{'name': 'car', 'place': 'left'}, {'name': 'tree', 'place': 'right'}]})
    ['A street', 'car, left', 'tree, right']
    """
    if isinstance(answer, Mapping):
        return [text for value in answer.values() for text in texts(value)]
    if isinstance(answer, list):
        return [text for item in answer
                for text in ([', '.join(texts(item))] if isinstance(item, Mapping) else texts(item)) if text]
    return [str(answer)] if answer is not None and str(answer).strip() else []
