"""Rules that join the paragraphs' token features of a pair into one feature.

A rule is chosen by `join=dict(type=..., ...)` of a config's `text_source`. FILM's published features have the shape
`(1, 149, 768)`. How two paragraphs became 149 rows is not known; `concat` with `tokens=149` gives that shape and
claims no more.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.registry import check_arguments

#: Token features of the sources of a pair, A's first.
Parts = Sequence[Float[np.ndarray, '_ dim']]


def concat(parts: Parts, tokens: int | Sequence[int] | None = None, pad: str | None = 'zero',
           longer: str = 'error') -> Float[np.ndarray, 'token dim']:
    """The tokens of every part, one part after the other.

    Args:
        parts: the token features of each source.
        tokens: None for any length; a number of rows for the whole; or a list with a number for each source.
        pad: `zero` fills up to `tokens` with zero rows, which then are rows like others, as in a published file; None
            leaves what is shorter as it is, so that `tokens` is but a limit.
        longer: `error`, or `cut` to keep the first rows of what is longer and drop the rest.

    Raises:
        DataError: there are more rows than `tokens`, and `longer` is `error`.

    >>> concat([np.ones((3, 1)), np.ones((2, 1))], tokens=[2, 4], longer='cut')[:, 0].tolist()
    [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    """
    if tokens is not None and not isinstance(tokens, int):
        return concat([_fit(part, rows, pad, longer, f'the text of source {source}')
                       for part, rows, source in zip(parts, tokens, 'ab', strict=False)])
    joined = np.concatenate(parts)
    return joined if tokens is None else _fit(joined, tokens, pad, longer, 'the joined text')


def mean(parts: Parts) -> Float[np.ndarray, 'part dim']:
    """One row for each part, the mean of its tokens.

    >>> mean([np.array([[1.], [3.]]), np.array([[5.]])])[:, 0].tolist()
    [2.0, 5.0]
    """
    return np.stack([part.mean(0) for part in parts])


#: The rules by name.
JOINS: dict[str, Callable[..., Float[np.ndarray, 'token dim']]] = {'concat': concat, 'mean': mean}


def join_rule(config: Any, sources: int) -> Callable[[Parts], Float[np.ndarray, 'token dim']]:
    """The rule that a config asks for, its arguments checked; None is `concat` of any length.

    Args:
        config: such as `dict(type='concat', tokens=149, longer='cut')`.
        sources: how many paragraphs are joined.

    Raises:
        ConfigError: there is no such rule, or an argument does not fit.
    """
    if config is None:
        return concat
    if not isinstance(config, Mapping) or config.get('type') not in JOINS:
        named = config.get('type') if isinstance(config, Mapping) else config
        raise ConfigError(f'No rule joins texts by the name {named!r}.',
                          f"Write join=dict(type='concat', ...). {did_you_mean(str(named), JOINS)}")
    rule = JOINS[config['type']]
    arguments = {key: value for key, value in config.items() if key != 'type'}
    if 'parts' in arguments:
        raise ConfigError(f'join={dict(config)} gives parts itself.', 'Leave them out: they come from the text store.')
    check_arguments(rule, dict(config))
    tokens = arguments.get('tokens')
    if tokens is not None:
        each = [tokens] if isinstance(tokens, int) else tokens
        if (not isinstance(each, (list, tuple)) or not isinstance(tokens, int) and len(each) != sources
                or not all(isinstance(rows, int) and not isinstance(rows, bool) and rows > 0 for rows in each)):
            raise ConfigError(f'join has tokens={tokens!r}; expected a positive number, or a list of {sources}.',
                              'Write tokens=149, or one number for each source, such as tokens=[75, 74].')
    for key, known in (('pad', ('zero', None)), ('longer', ('error', 'cut'))):
        if key in arguments and arguments[key] not in known:
            raise ConfigError(f'join has {key}={arguments[key]!r}.', did_you_mean(str(arguments[key]), map(str, known)))
    return partial(rule, **arguments)


def _fit(rows: Float[np.ndarray, 'row dim'], tokens: int, pad: str | None, longer: str,
         what: str) -> Float[np.ndarray, 'token dim']:
    if len(rows) > tokens and longer == 'error':
        raise DataError(f"{what} has {len(rows)} tokens, join.tokens is {tokens} and join.longer='error'",
                        f"Set join.tokens to {len(rows)} or more, or join.longer='cut' to drop the last ones.")
    missing = max(0, tokens - len(rows)) if pad == 'zero' else 0
    return np.pad(rows[:tokens], ((0, missing), (0, 0)))
