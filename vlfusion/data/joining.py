"""Rules that join the token features of a pair's paragraphs into one array.

A config chooses a rule by `join=dict(type=..., ...)` in its `text_source`. FILM's published features have the shape
`(1, 149, 768)`. It is not known how two paragraphs became 149 rows. `concat` with `tokens=149` gives the same shape,
but not necessarily the same values.
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
    """Concatenate the tokens of all parts.

    Args:
        parts: token features of each source.
        tokens: number of rows of the whole, or a list with the number for each source; None for any length.
        pad: `zero` to fill shorter texts with zero rows, which then count as tokens, as in a published file; None to
            leave them short, so that `tokens` is only a limit.
        longer: `error` to refuse longer texts, or `cut` to keep their first rows.

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
    """Average the tokens of each part into one row.

    >>> mean([np.array([[1.], [3.]]), np.array([[5.]])])[:, 0].tolist()
    [2.0, 5.0]
    """
    return np.stack([part.mean(0) for part in parts])


#: The rules by name.
JOINS: dict[str, Callable[..., Float[np.ndarray, 'token dim']]] = {'concat': concat, 'mean': mean}


def join_rule(config: Any, sources: int) -> Callable[[Parts], Float[np.ndarray, 'token dim']]:
    """Return the rule of a config with its arguments. None means `concat` of any length.

    Args:
        config: config of the rule, such as `dict(type='concat', tokens=149, longer='cut')`.
        sources: number of paragraphs to join.

    Raises:
        ConfigError: the rule is unknown, or an argument does not fit.
    """
    if config is None:
        return concat
    if not isinstance(config, Mapping) or config.get('type') not in JOINS:
        name = config.get('type') if isinstance(config, Mapping) else config
        raise ConfigError(f'There is no rule {name!r} to join texts.',
                          f"Write join=dict(type='concat', ...). {did_you_mean(str(name), JOINS)}")
    rule = JOINS[config['type']]
    arguments = {key: value for key, value in config.items() if key != 'type'}
    if 'parts' in arguments:
        raise ConfigError(f'join={dict(config)} sets parts.', 'Leave it out: the parts come from the text store.')
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
