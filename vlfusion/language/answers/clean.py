"""Answers of language models, cleaned by rules that keep the description and nothing else.

All text from a model is read here. The rules remove reasoning, special tokens, openings and closings of a chat,
Markdown and wrapping quotes. From an answer to a schema they keep only the JSON. An answer is an error if it is a
refusal, if a content filter stopped it, or if nothing is left of it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vlfusion.errors import DataError
from vlfusion.language.answers.markdown import plain
from vlfusion.language.answers.phrases import CLOSING, FILTERED, LABEL, OPENING, REASONING, REFUSAL
from vlfusion.language.answers.structure import Check, fitting, is_json
from vlfusion.language.answers.tags import tagged, unwrapped, without_reasoning

#: Finish reasons of servers that mean: a filter stopped the answer.
FILTER_REASONS = frozenset(('content_filter', 'content-filter', 'safety', 'prohibited_content', 'blocklist',
                            'recitation', 'image_safety', 'spii', 'sensitive', 'guardrail_intervened'))
#: Escape sequences of terminals, and characters that cannot be seen.
_CONTROLS = re.compile(r'\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)?'
                       r'|[\x00\x08\x9b\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]')
_QUOTES = {'"': '"', '“': '”', "'": "'", '‘': '’', '«': '»', '»': '«', '„': '“', '「': '」', '『': '』'}
#: Keys of a chunk that may hold its text.
_TEXTS = ('text', 'content', 'value', 'refusal', 'thinking', 'reasoning', 'summary')
#: Keys that models use for a description in JSON.
_KEYS = ('description', 'caption', 'paragraph', 'text', 'answer', 'summary', 'response', 'output')


@dataclass(frozen=True)
class Message:
    """Message of a server: text, reasoning and refusal. Absent parts are empty."""

    text: str = ''
    reasoning: str = ''
    refusal: str = ''


def message(content: Any, reasoning: Any = None, refusal: Any = None) -> Message:
    """Split a chat message into its parts. The content may be a string, a list of chunks, or None.

    >>> message([{'type': 'thinking', 'thinking': 'Hm.'}, {'type': 'text', 'text': 'A '}, {'text': 'wall.'}])
    Message(text='A wall.', reasoning='Hm.', refusal='')
    """
    parts = {'text': '', 'reasoning': _text_of(reasoning), 'refusal': _text_of(refusal)}
    for chunk in content if isinstance(content, list | tuple) else [content]:
        name = str(chunk.get('type', '')) if isinstance(chunk, Mapping) else ''
        part = 'refusal' if 'refusal' in name else 'reasoning' if re.search('think|reason|thought', name) else 'text'
        parts[part] += _text_of(chunk)
    return Message(**parts)


def read(answer: str | Message, model: str, finish_reason: str = '', check: Check | None = None) -> str:
    """Return the description in an answer, or its JSON if a schema is required.

    Args:
        answer: the text of the model, or the message of a server.
        model: the name of the model, for error messages.
        finish_reason: the reason why the model stopped; empty if unknown.
        check: the check of the required schema. If no JSON in the answer passes, the text is returned, so that the
            caller can ask again.

    Raises:
        DataError: the answer holds no description. A content filter stopped it, the model refused, or it sent only
            reasoning or nothing.

    >>> read('<think>Let me see.</think>Sure, here is a description: **A wall**. Let me know if you need more!', 'm')
    'A wall.'
    """
    sent = Message(answer) if isinstance(answer, str) else answer
    text, thought = without_reasoning(readable(sent.text))
    if is_filtered(text, finish_reason):
        raise DataError(f'A content filter of {model} stopped the answer (it ended with {finish_reason!r}).',
                        'The answer is discarded. Ask another model, or change the prompt or the image.')
    if sent.refusal.strip() and not text.strip():
        raise refusal(model, readable(sent.refusal))
    if not text.strip():
        raise _nothing(model, finish_reason, bool(thought or sent.reasoning.strip()))
    kept = fitting(unwrapped(text).strip(), check) if check else prose(text)
    if refused(kept):
        raise refusal(model, kept)
    if not kept.strip():
        raise _nothing(model, finish_reason, False)
    return kept


def prose(text: str) -> str:
    """Remove what a chat adds to a text: fences, labels, openings, closings, Markdown and quotes.

    >>> prose('"A man stands by the road: he is sorry to be late."')
    'A man stands by the road: he is sorry to be late.'
    """
    text = unwrapped(text).strip()
    for _ in range(8):  # additions are nested: a label in an opening, an opening in a fence
        before = text
        text = _without_opening(text)
        text = plain(_without_closing(text)).strip()
        text = _unquoted(_of_json(_without_closing(_without_opening(text))))
        if text == before:
            break
    return text


def readable(text: str) -> str:
    r"""Remove what files and encoders do not accept: lone surrogates are replaced, escape sequences dropped.

    >>> readable('A \ud83d wall\x1b[31m and\x00 a road')
    'A \ufffd wall and a road'
    """
    return _CONTROLS.sub('', encodable(text).replace('\r\n', '\n').replace('\r', '\n'))


def encodable(text: str) -> str:
    """Replace lone surrogates, so that the text can be encoded as UTF-8."""
    return text.encode('utf-16-le', 'surrogatepass').decode('utf-16-le', 'replace')


def refused(text: str) -> str:
    """Return the words with which a text refuses to describe; empty if it does not refuse."""
    match = REFUSAL.match(_straight(text).lstrip(' \n"“*_#>'))
    return match[0] if match else ''


def is_filtered(text: str, finish_reason: str = '') -> bool:
    """True if a content filter stopped an answer: the finish reason or a notice in the text says so."""
    return finish_reason.lower() in FILTER_REASONS or len(text.split()) < 60 and bool(FILTERED.match(text.lstrip()))


def reasoned(text: str) -> str:
    """Return the first tag or phrase of a model's reasoning in a text; empty if there is none."""
    match = REASONING.search(_straight(text))
    return tagged(text) or (match[0].strip() if match else '')


def chatter(text: str) -> str:
    """Return the part of a text that is about the answer instead of the image, or `Markdown`; empty if none is."""
    cleaned, original = ' '.join(prose(text).split()), ' '.join(text.split())
    if cleaned == original:
        return ''
    if original.endswith(cleaned):
        return original.removesuffix(cleaned)
    return original.removeprefix(cleaned) if original.startswith(cleaned) else 'Markdown'


def _of_json(text: str) -> str:
    """Return the description in an answer that is JSON although prose was required."""
    if not text.startswith('{') or not is_json(text):
        return text
    entries = json.loads(text)
    strings = {key.lower(): value for key, value in entries.items() if isinstance(value, str) and value.strip()}
    descriptions = [strings[key] for key in _KEYS if key in strings]
    if descriptions:
        return descriptions[0]
    return next(iter(strings.values())) if len(strings) == len(entries) == 1 else text


def _text_of(chunk: Any) -> str:
    """Return the text of a chunk of content: a string, or the value of a key for text or reasoning."""
    if isinstance(chunk, str):
        return chunk
    if isinstance(chunk, list | tuple):
        return ''.join(map(_text_of, chunk))
    if isinstance(chunk, Mapping):
        return next((_text_of(chunk[key]) for key in _TEXTS if chunk.get(key)), '')
    return ''


def _without_opening(text: str) -> str:
    for _ in range(5):
        straight = _straight(text).lstrip('*_#> ')
        shift = len(text) - len(straight)
        match = OPENING.match(straight) or LABEL.match(straight.replace('*', ' ').replace('_', ' '))
        if not match:
            return text
        # A label in bold leaves the end of its emphasis behind.
        text = re.sub(r'\A\s*(?:\*{1,3}|__)(?=\s)', '', text[shift + match.end():]).lstrip()
    return text


def _without_closing(text: str) -> str:
    for _ in range(5):
        straight = _straight(text)
        starts = [match.end() for match in re.finditer(r'(?<=[.!?…"”)\]*])\s+|(?<=[。！？])\s*|\n+', straight)]
        starts = [0, *(start for start in starts if straight[start:].strip())]
        if not CLOSING.match(last := straight[starts[-1]:]) or last.count('"') % 2 or '”' in last:
            return text
        text = text[:starts[-1]].rstrip()
        text = re.sub(r'\n\s*(?:-{3,}|\*{3,}|_{3,})\Z', '', text).rstrip()
    return text


def _unquoted(text: str) -> str:
    """Remove quotation marks around the whole text."""
    text = text.strip()
    end = _QUOTES.get(text[:1])
    inner = text[1:-1]
    if end and len(text) > 2 and text.endswith(end) and end not in inner and text[0] not in inner:
        return inner.strip()
    return text


def _straight(text: str) -> str:
    return text.replace('’', "'").replace('‘', "'")


def refusal(model: str, words: str) -> DataError:
    """Make the error of an answer that refuses."""
    return DataError(f'{model} refused to describe this: {" ".join(words.split())[:200]}',
                     'Ask another model, or reword the prompt or the question.')


def _nothing(model: str, finish_reason: str, reasoning: bool) -> DataError:
    cut = finish_reason in ('length', 'max_tokens')
    if reasoning:
        return DataError(f'{model} sent only its reasoning and no answer (it ended with {finish_reason!r}).',
                         f'{"Raise max_tokens, or t" if cut else "T"}urn reasoning off: extra=dict(...) for an '
                         "OpenAI-compatible server, template_options={'enable_thinking': False} for TransformersLLM.")
    return DataError(f'{model} wrote nothing about this image (it ended with {finish_reason!r}): an empty answer.',
                     'Raise max_tokens, or ask another model.' if cut else 'Try again, or ask another model.')
