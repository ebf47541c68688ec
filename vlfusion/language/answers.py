"""Answers of language models, taken apart by rule: the description is kept, and nothing else.

Everything that gets text from a model reads it here. Off come reasoning, special tokens, openings and closings of a
chat, Markdown and wrapping quotes; of an answer to a schema everything but the JSON. An answer of which nothing is
left, a refusal, and one that a content filter stopped are errors of their record.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vlfusion.errors import DataError
from vlfusion.language.markdown import plain
from vlfusion.language.phrases import CLOSING, FILTERED, LABEL, OPENING, REASONING, REFUSAL
from vlfusion.language.structure import Check, fitting, is_json
from vlfusion.language.tags import tagged, unwrapped, without_reasoning

#: Finish reasons by which servers say that a filter stopped the answer.
FILTER_REASONS = frozenset(('content_filter', 'content-filter', 'safety', 'prohibited_content', 'blocklist',
                            'recitation', 'image_safety', 'spii', 'sensitive', 'guardrail_intervened'))
#: Escape sequences of terminals, and characters that cannot be seen.
_CONTROLS = re.compile(r'\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)?'
                       r'|[\x00\x08\x9b\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]')
_QUOTES = {'"': '"', '“': '”', "'": "'", '‘': '’', '«': '»', '»': '«', '„': '“', '「': '」', '『': '』'}
#: Where the text of a chunk stands.
_TEXTS = ('text', 'content', 'value', 'refusal', 'thinking', 'reasoning', 'summary')
_KEYS = ('description', 'caption', 'paragraph', 'text', 'answer', 'summary', 'response', 'output')


@dataclass(frozen=True)
class Message:
    """Message of a server: text, reasoning and refusal, each empty where there is none."""

    text: str = ''
    reasoning: str = ''
    refusal: str = ''


def message(content: Any, reasoning: Any = None, refusal: Any = None) -> Message:
    """The parts of a chat message, whose content may be a string, a list of chunks, or None.

    >>> message([{'type': 'thinking', 'thinking': 'Hm.'}, {'type': 'text', 'text': 'A '}, {'text': 'wall.'}])
    Message(text='A wall.', reasoning='Hm.', refusal='')
    """
    parts = {'text': '', 'reasoning': _text_of(reasoning), 'refusal': _text_of(refusal)}
    for chunk in content if isinstance(content, list | tuple) else [content]:
        kind = str(chunk.get('type', '')) if isinstance(chunk, Mapping) else ''
        part = 'refusal' if 'refusal' in kind else 'reasoning' if re.search('think|reason|thought', kind) else 'text'
        parts[part] += _text_of(chunk)
    return Message(**parts)


def read(answer: str | Message, model: str, finish_reason: str = '', check: Check | None = None) -> str:
    """The description in an answer, or its JSON where a schema is asked for.

    Args:
        answer: what the model wrote, or the message that a server sent.
        model: who wrote it, for error messages.
        finish_reason: why the model stopped, as far as that is known.
        check: where a schema is asked for, says what keeps a text from being JSON of it. If no JSON in the answer fits,
            the text is returned, for the caller to ask again.

    Raises:
        DataError: there is no description: a content filter stopped it, the model refused, or it sent nothing but
            reasoning, or nothing at all.

    >>> read('<think>Let me see.</think>Sure, here is a description: **A wall**. Let me know if you need more!', 'm')
    'A wall.'
    """
    sent = Message(answer) if isinstance(answer, str) else answer
    text, thought = without_reasoning(readable(sent.text))
    if is_filtered(text, finish_reason):
        raise DataError(f'A content filter of {model} stopped the answer (it ended with {finish_reason!r}).',
                        'Nothing of it is kept. Ask another model, or change the prompt or the image.')
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
    """A text without what a chat puts around it: fences, labels, openings, closings, Markdown and quotes.

    >>> prose('"A man stands by the road: he is sorry to be late."')
    'A man stands by the road: he is sorry to be late.'
    """
    text = unwrapped(text).strip()
    for _ in range(8):  # a label may stand in an opening, an opening in a fence
        before = text
        text = _without_opening(text)
        text = plain(_without_closing(text)).strip()
        text = _unquoted(_of_json(_without_closing(_without_opening(text))))
        if text == before:
            break
    return text


def readable(text: str) -> str:
    r"""A text without what no file or encoder takes: lone surrogates are replaced, escape sequences left out.

    >>> readable('A \ud83d wall\x1b[31m and\x00 a road')
    'A \ufffd wall and a road'
    """
    return _CONTROLS.sub('', encodable(text).replace('\r\n', '\n').replace('\r', '\n'))


def encodable(text: str) -> str:
    """A text that can be encoded as UTF-8: lone surrogates are replaced."""
    return text.encode('utf-16-le', 'surrogatepass').decode('utf-16-le', 'replace')


def refused(text: str) -> str:
    """The words by which a text refuses to describe; empty if it does not."""
    match = REFUSAL.match(_straight(text).lstrip(' \n"“*_#>'))
    return match[0] if match else ''


def is_filtered(text: str, finish_reason: str = '') -> bool:
    """True if a content filter stopped an answer, by its finish reason or by a notice in its place."""
    return finish_reason.lower() in FILTER_REASONS or len(text.split()) < 60 and bool(FILTERED.match(text.lstrip()))


def reasoned(text: str) -> str:
    """The tag or the phrase by which a text shows that it is, or holds, a model's reasoning; empty if there is none."""
    match = REASONING.search(_straight(text))
    return tagged(text) or (match[0].strip() if match else '')


def chatter(text: str) -> str:
    """The part of a text that is about the answer instead of the image, or `Markdown`; empty if there is nothing."""
    kept, given = ' '.join(prose(text).split()), ' '.join(text.split())
    if kept == given:
        return ''
    if given.endswith(kept):
        return given.removesuffix(kept)
    return given.removeprefix(kept) if given.startswith(kept) else 'Markdown'


def _of_json(text: str) -> str:
    """The description of an answer in JSON that nobody asked for."""
    if not text.startswith('{') or not is_json(text):
        return text
    entries = json.loads(text)
    strings = {key.lower(): value for key, value in entries.items() if isinstance(value, str) and value.strip()}
    named = [strings[key] for key in _KEYS if key in strings]
    return named[0] if named else next(iter(strings.values())) if len(strings) == len(entries) == 1 else text


def _text_of(chunk: Any) -> str:
    """The text of a chunk of content: a string, or what stands under a name for text or reasoning."""
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
        # Of a label in bold the end of the emphasis stays behind.
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
    """The text without quotation marks around the whole."""
    text = text.strip()
    end = _QUOTES.get(text[:1])
    inner = text[1:-1]
    if end and len(text) > 2 and text.endswith(end) and end not in inner and text[0] not in inner:
        return inner.strip()
    return text


def _straight(text: str) -> str:
    return text.replace('’', "'").replace('‘', "'")


def refusal(model: str, words: str) -> DataError:
    """The error of an answer that refuses."""
    return DataError(f'{model} refused to describe this: {" ".join(words.split())[:200]}',
                     'Ask another model, or word the prompt or the question otherwise.')


def _nothing(model: str, finish_reason: str, reasoning: bool) -> DataError:
    cut = finish_reason in ('length', 'max_tokens')
    if reasoning:
        return DataError(f'{model} sent only its reasoning and no answer (it ended with {finish_reason!r}).',
                         f'{"Raise max_tokens, or t" if cut else "T"}urn reasoning off, by extra=dict(...) of an '
                         "OpenAI-compatible server or template_options={'enable_thinking': False} of TransformersLLM.")
    return DataError(f'{model} wrote nothing about this image (it ended with {finish_reason!r}): an empty answer.',
                     'Raise max_tokens, or ask another model.' if cut else 'Try again, or ask another model.')
