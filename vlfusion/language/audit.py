"""Checks of descriptions: cheap tests of every paragraph, without a model.

They point to texts worth reading and prove nothing. `check` explains each test and what it misses.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields

from vlfusion.language.answers.clean import chatter, is_filtered, reasoned, refused
from vlfusion.language.lookup import Described
from vlfusion.language.lookup import Records as Records
from vlfusion.language.prompt import load_prompt
from vlfusion.language.vocabulary import FUNCTION_WORDS, content_words, fold, grams, words_of

#: The checks in the order of the table, each with a description of what it reports.
CHECKS = {
    'missing': 'a record is not in the store',
    'damaged': 'a record or the image cannot be read',
    'empty': 'the paragraph has no words',
    'refusal': 'the LLM refused to describe the image',
    'filter': 'a content filter stopped the LLM',
    'reasoning': "the LLM's reasoning, in tags or typical phrases",
    'chatter': 'words about the answer, a label, Markdown or quotation marks around the whole',
    'duplicate': 'another image has the same paragraph',
    'long': 'more words or tokens than allowed, or refused by the encoder',
    'short': 'fewer words than required',
    'loop': 'the same twelve consecutive words twice',
    'leak': "eight consecutive words of the prompt's own text",
    'coordinates': 'numbers in brackets or pairs, such as [90, 37, 322, 383]',
    'digits': 'any digit',
    'cut': 'the LLM was stopped by its token limit',
    'language': 'hardly any English function words, or mostly letters beyond a to z',
    'unseen': 'content words that no captioner used',
}
#: Numbers of equal consecutive words that are no coincidence: words of the prompt, and words of the text itself.
LEAK, LOOP = 8, 12
#: Least share of function words in English. English prose has a third to a half, other languages a few percent.
ENGLISH = 0.15
_COORDINATES = re.compile(r'[\[(<]\s*\d[\d.]*%?(?:\s*[,;:x]\s*\d[\d.]*%?)+\s*[\])>]|\b[xy]\d?\s*[=:]\s*\d'
                          r'|\b\d+(?:\.\d+)?\s*,\s*\d+(?:\.\d+)?\b')


@dataclass(frozen=True)
class Limits:
    """Lengths below or above which a paragraph is reported: in words, and in tokens if the text store knows them."""

    min_words: int = 10
    max_words: int = 200
    max_tokens: int | None = None


@dataclass
class Row:
    """Findings about one image. The names are the columns of the CSV file."""

    group: str
    image: str
    modality: str
    issues: str = ''
    words: int = 0
    tokens: int | None = None
    missing: str = ''
    duplicate_of: str = ''
    refusal: str = ''
    reasoning: str = ''
    chatter: str = ''
    loop: str = ''
    leak: str = ''
    coordinates: str = ''
    digits: str = ''
    finish_reason: str = ''
    english: float | None = None
    unseen_count: int | None = None
    unseen: str = ''
    problem: str = ''
    results: dict[str, bool] = field(default_factory=dict, repr=False)  # check -> True if it reports the image

    def cells(self) -> dict:
        """One line of the CSV file."""
        return {name: getattr(self, name) for name in COLUMNS}


COLUMNS = tuple(column.name for column in fields(Row) if column.name != 'results')


def check(texts: Sequence[Described], prompt: str | None = None, limits: Limits | None = None) -> list[Row]:
    """Check every paragraph; return one row for each, in order.

    - `refusal`, `filter`, `reasoning` and `chatter` report what `vlfusion.language.answers` removes or refuses. Texts
      of earlier runs, or of other programs, may hold it. `reasoning` also knows phrases such as "the user wants".
    - `duplicate` compares letters only. Spaces, capitals and punctuation do not count.
    - `loop` reports `LOOP` consecutive words that are repeated: a weak LLM goes in circles.
    - `leak` reports `LEAK` consecutive words of the prompt, observations excluded. It misses paraphrases.
    - `coordinates` and `digits` are checked if the prompt mentions them, because it forbids them, and if there is no
      prompt.
    - `language` accepts a text as English if at least the share `ENGLISH` of its words are function words (checked
      from eight words on) and at most a fifth of its letters lie beyond a to z. A bare list of things fails too.
    - `unseen` reports the words of the paragraph that no captioner used. Function words and words that fit any image
      are left out, and endings such as -s, -ing, -ed and -ly are removed first. There is no dictionary: a synonym
      (`car` for `vehicle`) and a verb count as unseen. A word that a captioner used for another thing counts as seen.
      Compare the counts of LLMs; a single count is no number of mistakes.

    Args:
        texts: the paragraphs.
        prompt: the name of the prompt that they were written for; None if unknown.
        limits: the lengths outside which a paragraph is reported.
    """
    limits = limits or Limits()
    body = load_prompt(prompt).body if prompt else ''
    rules = [words_of(part) for part in re.split(r'\$\{?\w+\}?', body)]
    leaks = {gram for part in rules for gram in grams(part, LEAK)}
    forbidden = [name for name, word in (('coordinates', 'coordinate'), ('digits', 'digit'))
                 if not prompt or word in body.lower()]
    same = {}
    for text in texts:
        if text.text and (words := words_of(text.text)):
            same.setdefault(' '.join(words), {}).setdefault(text.content, text.image)
    return [_row(text, leaks, forbidden, same, limits) for text in texts]


def summary(rows: Sequence[Row]) -> dict[str, dict[str, float | None]]:
    """Count, for each group, the images and the reports of each check, and take the means of words and unseen words.

    A check that was not possible for any image of the group has the value None.
    """
    groups = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    table = {}
    for group, of_group in groups.items():
        counts = {name: sum(row.results.get(name, False) for row in of_group)
                  if any(name in row.results for row in of_group) else None for name in CHECKS}
        written = [row.words for row in of_group if row.words]
        unseen = [row.unseen_count for row in of_group if row.unseen_count is not None]
        table[group] = {'images': len(of_group), **counts, 'words': _mean(written), 'unseen words': _mean(unseen)}
    return table


def _row(text: Described, leaks: set[tuple[str, ...]], forbidden: Sequence[str], same: Mapping[str, Mapping[str, str]],
         limits: Limits) -> Row:
    row = Row(text.group, text.image, text.modality, tokens=text.tokens, missing=' '.join(text.missing or ()),
              finish_reason=text.finish_reason, problem=text.refusal or text.damage)
    if text.missing is not None:
        row.results |= {'missing': bool(text.missing), 'damaged': False}
    if text.damage:
        row.results['damaged'] = True
    if text.text is not None:
        words = words_of(text.text)
        _check_answer(row, text)
        _check_words(row, text, words, leaks, limits)
        _check_signs(row, text.text, forbidden)
        _check_language(row, words)
        others = [image for content, image in same.get(' '.join(words), {}).items() if content != text.content]
        row.duplicate_of, row.results['duplicate'] = _first(others), bool(others)
        if text.seen is not None:
            _check_unseen(row, text.text, text.seen)
    row.issues = ' '.join(name for name in CHECKS if row.results.get(name))
    return row


def _check_answer(row: Row, text: Described) -> None:
    """Check for refusals, reasoning and chatter of the LLM, and for signs that it was stopped."""
    row.refusal, row.reasoning = refused(text.text), reasoned(text.text)
    if not row.refusal and not row.reasoning:
        row.chatter = _first(filter(None, map(chatter, text.texts or [text.text])))
    row.results |= {name: bool(getattr(row, name)) for name in ('refusal', 'reasoning', 'chatter')}
    row.results['filter'] = is_filtered(text.text, text.finish_reason)
    if text.finish_reason:
        row.results['cut'] = text.finish_reason == 'length'


def _check_words(row: Row, text: Described, words: Sequence[str], leaks: set[tuple[str, ...]], limits: Limits) -> None:
    """Check the length, repeated runs of words, and runs of words from the prompt."""
    row.words = len(words)
    row.loop = _first(' '.join(gram) for gram, count in Counter(grams(words, LOOP)).items() if count > 1)
    row.leak = _first(' '.join(gram) for gram in grams(words, LEAK) if gram in leaks)
    too_many_tokens = limits.max_tokens and (text.tokens or 0) > limits.max_tokens
    row.results |= {'empty': not words, 'loop': bool(row.loop), 'short': 0 < len(words) < limits.min_words,
                    'long': bool(len(words) > limits.max_words or text.refusal or too_many_tokens)}
    if leaks:
        row.results['leak'] = bool(row.leak)


def _check_signs(row: Row, text: str, forbidden: Sequence[str]) -> None:
    """Check for coordinates and digits, if the prompt forbids them."""
    row.coordinates = _first(match[0] for match in _COORDINATES.finditer(text))
    row.digits = _first(re.findall(r'\d[\d.,]*\b', text))
    row.results |= {name: bool(getattr(row, name)) for name in forbidden}


def _check_language(row: Row, words: Sequence[str]) -> None:
    """Check that the text is English, by its letters and its function words."""
    letters = ''.join(words)
    row.results['language'] = sum(not letter.isascii() for letter in letters) > len(letters) / 5
    if len(words) >= 8:
        row.english = round(sum(word in FUNCTION_WORDS for word in words) / len(words), 3)
        row.results['language'] |= row.english < ENGLISH


def _check_unseen(row: Row, text: str, seen: str) -> None:
    """Check for content words that no captioner used."""
    observed = set(map(fold, words_of(seen)))
    unseen = [word for folded, word in content_words(text).items() if folded not in observed]
    row.unseen_count, row.unseen = len(unseen), ' '.join(unseen)
    row.results['unseen'] = bool(unseen)


def _mean(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None


def _first(items: Iterable[str]) -> str:
    return next(iter(items), '')
