"""Checks of the arguments in a config: their names, and the types of plain values."""

import inspect
import os
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from vlfusion.errors import ConfigError, did_you_mean

#: Keys that MMEngine removes from a config before it calls the class.
OWN_KEYS = ('type', '_scope_')
_LISTS = (list, tuple, set, Sequence, Iterable, Collection)


class Argument(NamedTuple):
    """One argument: its default, or `inspect.Parameter.empty`, and its type hint."""

    default: Any
    hint: Any


def arguments_of(entry: Callable) -> tuple[dict[str, Argument], bool]:
    """Return the named arguments of a class or function, and whether it accepts any others.

    A class with `**kwargs` also accepts the arguments of its base classes.
    """
    inits = [vars(cls)['__init__'] for cls in inspect.getmro(entry)[:-1] if '__init__' in vars(cls)] if (
        inspect.isclass(entry)) else [entry]
    arguments: dict[str, Argument] = {}
    for init in inits:
        parameters = inspect.signature(init).parameters.values()
        hints = _hints(init)
        for parameter in parameters:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) and parameter.name != 'self':
                arguments.setdefault(parameter.name, Argument(parameter.default, hints.get(parameter.name, Any)))
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return arguments, False
    return arguments, bool(inits) or entry.__new__ is not object.__new__


def check_arguments(entry: Callable, cfg: Mapping, where: str = '', more: Collection[str] = (),
                    others: bool | None = None) -> None:
    """Refuse unknown arguments, and plain values that do not fit their type hints.

    If the class or function accepts any arguments, only names that look like misspellings are refused.

    Args:
        entry: the class or function.
        cfg: its arguments, and `type`.
        where: the place of `cfg` in its config, such as `model.backbone`; by default the type.
        more: names of further valid arguments, which the caller handles.
        others: whether `entry` accepts any other arguments; by default read from its signature.

    Raises:
        ConfigError: names the argument.
    """
    where = where or str(cfg.get('type'))
    known, any_other = arguments_of(entry)
    any_other = any_other if others is None else others
    for key, value in cfg.items():
        if key in known:
            if not fits(value, known[key].hint) and not _same(value, known[key].default):
                raise ConfigError(f'{where}.{key} is {value!r}; expected {words_of(known[key].hint)}.',
                                  f'Correct the argument of {cfg.get("type")}.')
        elif key not in OWN_KEYS and key not in more and (
                not any_other or get_close_matches(str(key), known, n=1, cutoff=0.8)):
            place = f' ({where})' if where != cfg.get('type') else ''
            raise ConfigError(f'{cfg.get("type")} has no argument {key!r}{place}.',
                              did_you_mean(str(key), [*known, *more])
                              + '\n     An argument that comes from a _base_ config stays unless the dict says '
                                '_delete_=True, see docs/howto/data.md.')


def fits(value: Any, hint: Any) -> bool:
    """Tell whether a value of a config fits a type hint. Types that a config cannot write down fit every value.

    >>> fits(3, float), fits('two', int | None), fits(['a', 1], list[str]), fits('cuda', Callable)
    (True, False, False, True)
    """
    kind = get_origin(hint) or hint
    if kind in (Union, types.UnionType):
        return any(fits(value, member) for member in get_args(hint))
    if kind is Literal:
        return value in get_args(hint)
    if kind in (None, types.NoneType):
        return value is None
    if kind in (int, float):
        return isinstance(value, Integral if kind is int else Real)
    if kind in (str, bool, dict, Mapping):
        return isinstance(value, Mapping if kind is dict else kind)
    if kind in (os.PathLike, Path):
        return isinstance(value, str | os.PathLike)
    if kind in _LISTS:
        items = [hint for hint in get_args(hint) if hint is not ...]
        kinds = (list, tuple, set, Mapping) if kind in (Iterable, Collection) else (list, tuple, set)
        return isinstance(value, kinds) and (
            len(items) != 1 or all(fits(item, items[0]) for item in value))
    return True


def _hints(function: Callable) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except Exception:  # a hint may name something that is imported for type checkers only
        return {}


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and value == default


def words_of(hint: Any) -> str:
    """Describe a type hint in words.

    >>> words_of(str | list[int] | None)
    'str or a list of int or None'
    """
    kind, items = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, types.UnionType):
        return ' or '.join(map(words_of, items))
    if kind in _LISTS:
        return f'a list of {words_of(items[0])}' if items else 'a list'
    return 'None' if hint is types.NoneType else str(hint) if get_args(hint) else getattr(hint, '__name__', str(hint))
