"""Secrets: recognised by name or by form, and removed from everything that is stored or shown."""

import base64
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

HIDDEN = '***'

#: Words that mark a secret anywhere in a name.
_SECRET_WORDS = (
    'apikey apikeys auth authentication authorisation authorization bearer cookie cookies cred credential '
    'credentials creds csrf jwt oauth otp passcode passphrase passwd passwords password pwd secret secrets '
    'sessionid xsrf')
#: Two words written as one, such as `openaikey`.
_GLUED = re.compile(
    r'\w*(?:password|passwd|passphrase|sessionid|sessid'
    r'|(?:access|anthropic|api|auth|azure|client|hf|hub|openai|private|refresh|secret|service|session|user)'
    r'(?:key|token|secret)s?)')
#: Words that mark a secret if they stand before `key` or `token`.
_OWNERS = (
    'access account admin api auth bearer client csrf encryption github hf hub huggingface id license openai '
    'private refresh secret security service session signing ssh user')
#: Words before `key` or `token` that mean a dictionary key or a text token.
_PARTS = (
    'a and arrow attention attn audio begin best blank bos box by cache caption cfg class cls color colour column '
    'cond config context control data decoder dict dist each end eos eot extra feature features filter first '
    'forced foreign global gt group high hot image img index input join json label lang language last layer '
    'legend loss low map mask max mean meta metric min module monitor name new next num of one order output pad '
    'param params partition patch per piano placeholder pool position pred prefix primary prompt public query '
    'record region register result results row rule scale search sep separator shift sort space special stage '
    'start state stop store sub suffix sum summary system target text the think unique unk value video vision '
    'visual weight weights with word')
#: Last words of names whose value describes or locates a secret, but is not the secret itself.
_FACTS = (
    'count dim dir enabled endpoint env expiry file folder heads kind len length limit mode name names path '
    'policy required scheme seconds size timeout ttl type uri url var variable')
_CERTAIN, _OWNED, _HARMLESS, _ABOUT = (frozenset(words.split()) for words in (_SECRET_WORDS, _OWNERS, _PARTS, _FACTS))
_PLACES = frozenset(('env', 'var', 'variable'))
_WORDS = re.compile(r'[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])')

#: Matches a URL with its user, password and query.
_CREDENTIALS = re.compile(r'\b([a-z][a-z0-9+.-]*://)(?:[^/@\s]*@)?([^?\s\'"]*)(?:\?[^\s\'"]*)?')
#: Forms of keys that well-known services issue.
_KEYS = re.compile(
    r'(?<![\w-])(?:sk-(?=[\w-]*\d)[\w-]{6,}|sk-[\w-]{16,}|hf_(?=\w*\d)\w{8,}|hf_[A-Za-z]{16,}|gh[oprsu]_\w{16,}'
    r'|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[a-z]-[\w-]{10,}|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{30,}|ya29\.[\w-]{16,}'
    r'|(?:gsk|r8|nvapi|pplx|xai|tgp|fw)[_-](?=[\w-]*\d)[\w-]{16,}|eyJ[\w-]{8,}\.[\w-]{8,}\.?[\w-]*)'
    r'|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)')
_HEADER = re.compile(r'(?i)\b(bearer|basic)\s+(?=\S*[\d=])[\w.~+/=-]{6,}')
_WHOLE_HEADER = re.compile(r'(?i)\s*(bearer|basic|token)\s+\S{4,}\s*')
#: `api_key=...` in a sentence, a URL or JSON.
_ASSIGNED = re.compile(
    r'''(?i)([\w-]*(?:api[_-]?key|passw(?:or)?d|secret|(?:access|auth|api)[_-]?token|authorization)["']?\s*[=:]\s*["']?'''
    r'''(?:(?:bearer|basic|token)\s+)?)(?=[^\s"',;&]*\d)[^\s"',;&]+''')
#: Shortest value of an environment variable, in characters, that is masked; shorter ones could match ordinary text.
_LEAST_VALUE = 8


def without_secrets(value: Any) -> Any:
    """Remove secrets from plain data at any depth: entries with a secret's name, and secrets inside strings.

    >>> without_secrets({'llm': {'type': 'ChatLLM', 'api_key': 'sk-1', 'max_tokens': 200}})
    {'llm': {'type': 'ChatLLM', 'max_tokens': 200}}
    >>> without_secrets({'api_key_env': 'OPENAI_API_KEY', 'note': 'use sk-0123456789'})
    {'api_key_env': 'OPENAI_API_KEY', 'note': 'use ***'}
    >>> without_secrets({'base_url': 'https://me:word@host/v1?key=sk-1'})
    {'base_url': 'https://host/v1'}
    """
    return _cleaned(value, _variables())


def _cleaned(value: Any, known: Sequence[str]) -> Any:
    """Remove secrets from plain data, including the `known` values."""
    if isinstance(value, str):
        return _masked(value, known)
    if isinstance(value, list | tuple):
        if len(value) == 2 and all(isinstance(item, str) for item in value) and is_secret(*value):
            return [value[0], HIDDEN]  # an HTTP header as a pair
        return [_cleaned(item, known) for item in value]
    if not isinstance(value, Mapping):
        return value
    kept = {_cleaned(name, known) if isinstance(name, str) else name:
            HIDDEN if _is_misplaced(name, item) else _cleaned(item, known)
            for name, item in value.items() if not is_secret(name, item)}
    if {'name', 'value'} <= kept.keys() and is_secret(kept['name'], kept['value']):
        del kept['value']
    return kept


def is_secret(name: Any, value: Any = '') -> bool:
    """Tell whether an entry of this name holds a secret.

    >>> [is_secret(name) for name in ('key', 'openai_key', 'X-Api-Key', 'passwd', 'sessionId', 'hf_token')]
    [True, True, True, True, True, True]
    >>> [is_secret(name) for name in ('max_tokens', 'pad_token', 'monkey', 'num_key_value_heads', 'api_key_env')]
    [False, False, False, False, False]
    """
    if isinstance(value, bool) or not isinstance(name, str):
        return False
    certain, likely = _judge(name)
    return certain or likely and (value is None or isinstance(value, str | bytes | list | tuple))


@lru_cache(4096)
def _judge(name: str) -> tuple[bool, bool]:
    """Return whether a name surely marks a secret, and whether it does so if the value is text."""
    words = [word.lower().rstrip('0123456789') or word for word in _WORDS.split(name) if word]
    while len(words) > 1 and (words[-1] in ('value', 'string', 'str') or words[-1].isdigit()):
        words.pop()
    if not words or words[-1] in _ABOUT:
        return False, False
    last, before = words[-1], words[-2] if len(words) > 1 else ''
    certain = (any(word in _CERTAIN or _GLUED.fullmatch(word) for word in words)
               or last.rstrip('s') in ('key', 'token') and before in _OWNED
               or before == 'session' and last == 'id'
               or last in ('pass', 'pw') and before in ('', 'admin', 'db', 'login', 'mail', 'proxy', 'smtp', 'user'))
    return certain, words == ['session'] or last in ('key', 'token') and before not in _HARMLESS


def names_variable(value: Any) -> bool:
    """Tell whether a value is the name of an environment variable, not a key put there by mistake.

    >>> names_variable('OPENAI_API_KEY'), names_variable('sk-0123456789'), names_variable('9f86d081884c7d65')
    (True, False, False)
    """
    return (isinstance(value, str) and bool(re.fullmatch(r'[A-Z_][A-Z0-9_]{0,63}|[a-z_]{1,40}', value))
            and not (len(value) >= 16 and '_' not in value) and mask(value) == value)


def mask(text: str) -> str:
    """Replace secrets in a text by `***`: known forms, and values of this process's secret environment variables.

    >>> mask("Incorrect key sk-0123456789 (sent as 'Authorization: Bearer abc123def')")
    "Incorrect key *** (sent as 'Authorization: Bearer ***')"
    """
    return _masked(text, _variables())


def _masked(text: str, known: Sequence[str]) -> str:
    for secret in known:
        text = text.replace(secret, HIDDEN)
    text = _KEYS.sub(HIDDEN, _CREDENTIALS.sub(r'\1\2', text))
    text = _ASSIGNED.sub(rf'\1{HIDDEN}', text)
    return _WHOLE_HEADER.sub(rf'\1 {HIDDEN}', text) if _WHOLE_HEADER.fullmatch(text) else _HEADER.sub(
        rf'\1 {HIDDEN}', text)


def mask_log(name: str) -> None:
    """Mask secrets in all that the logger of this name writes from now on."""
    logger = logging.getLogger(name)
    if _mask_record not in logger.filters:
        logger.addFilter(_mask_record)


def _mask_record(record: logging.LogRecord) -> bool:
    record.msg, record.args = mask(record.getMessage()), ()
    return True


def eraser(secret: str) -> Callable[[str], str]:
    """Return a function that removes a secret from texts: whole or in part, plain, reversed or encoded.

    Args:
        secret: for example an API key. Parts of it are recognised only if it has at least six characters.

    >>> erase = eraser('sk-0123456789')
    >>> erase('no such key: sk-0123456789, 9876543210-ks, c2stMDEyMzQ1Njc4OQ==, sk-0****89')
    'no such key: ***, ***, ***, ***'
    """
    least = min(6, len(secret))
    plain = (secret, secret[::-1])
    forms = {(form, least) for form in plain} | {(change(form), max(least, len(secret) // 2)) for form in plain
                                                 for change in (str.lower, str.upper)}
    if len(secret) >= 6:
        forms |= {(form, 8) for form in _base64(secret)}
        data = secret.encode()
        forms |= {(data.hex(), 12), (data.hex().upper(), 12), (quote(secret, safe=''), least)}
        forms |= {(''.join(pattern.format(byte) for byte in data), 6 * len(pattern.format(0)))
                  for pattern in ('%{:02x}', '%{:02X}', '\\u{:04x}', '\\u{:04X}', '\\x{:02x}', '&#{};', '&#x{:x};')}
    pieces: dict[int, set[str]] = {}
    for form, size in forms:
        pieces.setdefault(size, set()).update(form[start:start + size] for start in range(len(form) - size + 1))

    def erase(text: str) -> str:
        spans = [(start, start + size) for size, parts in pieces.items() for start in range(len(text) - size + 1)
                 if text[start:start + size] in parts]
        spans += [match.span() for match in _SHORTENED.finditer(text) if _is_shortened(match[0], secret)]
        return _cut_out(text, spans)

    return erase


#: A shortened key, such as `sk-ab****wxyz`.
_SHORTENED = re.compile(r'[\w-]*(?:\*{2,}|…|\.{3,}|•{2,})[\w-]*')


def _is_shortened(word: str, secret: str) -> bool:
    head, tail = re.split(r'(?:\*{2,}|…|\.{3,}|•{2,})', word, maxsplit=1)
    tail = tail.lstrip('*.…•')
    return max(len(head), len(tail)) >= 2 and secret.startswith(head) and secret.endswith(tail)


def _cut_out(text: str, spans: list[tuple[int, int]]) -> str:
    """Replace every word that a span touches by `***`."""
    kept, end = [], 0
    for start, stop in sorted(spans):
        if start > end or not kept:
            start -= len(_WORD_END.search(text[end:start])[0])
        if start > end or not kept:
            kept += [text[end:start], HIDDEN]
        end = max(end, stop + len(_WORD_START.match(text, stop)[0]))
    return ''.join(kept) + text[end:]


_WORD_START, _WORD_END = re.compile(r'[\w+=%-]*'), re.compile(r'[\w+=%-]*\Z')


def _base64(secret: str) -> set[str]:
    """Encode the secret in base64 at each alignment, without characters that depend on its neighbours."""
    forms = set()
    for shift in range(3):
        data = bytes(shift) + secret.encode()
        whole = base64.b64encode(data).decode()[(0, 2, 3)[shift]:]
        whole = whole.rstrip('=')[:None if len(data) % 3 == 0 else -1]
        forms |= {whole, whole.translate(str.maketrans('+/', '-_'))}
    return forms


def _is_misplaced(name: Any, value: Any) -> bool:
    """Tell whether a key such as `api_key_env` holds a secret instead of the name of a variable."""
    if not isinstance(name, str) or not isinstance(value, str):
        return False
    *words, last = _WORDS.split(name)
    return last.lower() in _PLACES and is_secret('_'.join(words)) and not names_variable(value)


def _variables() -> list[str]:
    """Return the values of this process's secret environment variables, longest first. Paths are not secrets."""
    values = {value.strip() for name, value in os.environ.items() if is_secret(name, value)}
    return sorted((value for value in values if len(value) >= _LEAST_VALUE and not value.startswith(('/', '~', '.'))
                   and not os.path.exists(value)), key=len, reverse=True)
