"""Checks of descriptions: cheap tests on every paragraph, none of which needs a model.

They point at texts worth reading; they prove nothing. `check` says what each one is and what it misses.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from vlfusion.errors import DataError
from vlfusion.language.answers import chatter, is_filtered, reasoned, refused
from vlfusion.language.interfaces import Observation
from vlfusion.language.keys import Content, Keys
from vlfusion.language.prompt import PromptTemplate, load_prompt
from vlfusion.language.records import observations, paragraph_of, texts_of
from vlfusion.language.section import section
from vlfusion.language.store import STAGES, TextStore
from vlfusion.language.subjects import Subject, content_of

#: The checks, in the order of the table, each with what it looks for.
CHECKS = {
    'missing': 'a record is not in the store',
    'damaged': 'a record or the image cannot be read',
    'empty': 'the paragraph has no words',
    'refusal': 'the LLM refused to describe the image',
    'filter': 'a content filter stopped the LLM',
    'reasoning': "the LLM's reasoning, in tags or as it begins",
    'chatter': 'words about the answer, a label, Markdown or quotation marks around the whole',
    'duplicate': 'another image has the same paragraph',
    'long': 'more words or tokens than allowed, or refused by the encoder',
    'short': 'fewer words than asked for',
    'loop': 'the same twelve words in a row twice',
    'leak': "eight words in a row of the prompt's own text",
    'coordinates': 'numbers in brackets or pairs, such as [90, 37, 322, 383]',
    'digits': 'any digit',
    'cut': 'the LLM was stopped by its token limit',
    'language': 'hardly any English function words, or mostly letters beyond a to z',
    'unseen': 'content words that no captioner used',
}
#: Number of words in a row that are no coincidence: those of a prompt, and those of the text itself.
LEAK, LOOP = 8, 12
#: In English prose a third to a half of all words are among these, in other languages a few in a hundred.
ENGLISH = 0.15
_FUNCTION_WORDS = (
    'a about above across after against all along also although among an and any appears are around as at be because '
    'been before behind being below beneath beside between beyond both but by can could does down during each either '
    'else even every few for from further had has have having he her here him himself his how i if in inside into is '
    'it its itself just less like many may me more most much near nearly neither no nor not nothing of off on once '
    'one only or other others our out outside over own rather same seem seems several she should since so some such '
    'than that the their them then there these they this those through to together too toward towards under until up '
    'upon very was we were what when us where whereas which while who whose will with within without would yet you '
    'your')
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
#: What one says of any image; such a word names no object.
_OF_IMAGES = (
    'appear area aspect background bottom capture center centre central clear clearly contain contrast corner depict '
    'describe description detail different display edge entire evident feature features first focus foreground frame '
    'give half image include kind large left lie locate located lower main middle object observe overall part '
    'particular photo photograph picture place portion position present primarily prominent region right scene second '
    'section shot show side situate situated size small stand top two three four five six seven upper various view '
    'visible visual well whole')
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_COORDINATES = re.compile(r'[\[(<]\s*\d[\d.]*%?(?:\s*[,;:x]\s*\d[\d.]*%?)+\s*[\])>]|\b[xy]\d?\s*[=:]\s*\d'
                          r'|\b\d+(?:\.\d+)?\s*,\s*\d+(?:\.\d+)?\b')


@dataclass(frozen=True)
class Limits:
    """From what length on a paragraph is reported: in words, and in tokens where the text store knows them."""

    min_words: int = 10
    max_words: int = 200
    max_tokens: int | None = None


@dataclass(frozen=True)
class Stored:
    """One record of an image or a pair.

    Attributes:
        key: its key in the text store.
        path: its file.
        record: what it holds; None if there is none, or if it is damaged.
        damage: why it cannot be read; empty if it can.
    """

    key: str
    path: Path
    record: dict | None
    damage: str = ''


@dataclass(frozen=True)
class Described:
    """A paragraph and what is known of how it came about.

    Attributes:
        group: the data set and split, or the folder, that it is counted under.
        image: the image's file or those of the pair, or the text's own where that is all there is.
        content: what tells images apart: two with one content are the same image.
        text: the paragraph; None where it is not in the store.
        missing: the stages that have no record; None for a text that is from no store.
        seen: every word that the LLM was told of this image; None where that is not known.
        tokens: of the encoded paragraph.
        refusal: why the text encoder would not take the paragraph; empty if it does or was not asked.
        damage: why image or records cannot be read; empty if they can.
        texts: what the encoder reads one by one: the text itself, or those of a structured answer.
    """

    group: str
    image: str
    content: str
    text: str | None
    missing: tuple[str, ...] | None = None
    seen: str | None = None
    tokens: int | None = None
    finish_reason: str = ''
    modality: str = ''
    refusal: str = ''
    damage: str = ''
    texts: tuple[str, ...] = ()


@dataclass
class Row:
    """Findings about one image; the names are the columns of the CSV file."""

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
    found: dict[str, bool] = field(default_factory=dict, repr=False)  # check -> result, of those that could be made

    def cells(self) -> dict:
        """One line of the CSV file."""
        return {name: getattr(self, name) for name in COLUMNS}


COLUMNS = tuple(one.name for one in fields(Row) if one.name != 'found')


class Records:
    """Records that the text store holds of images or pairs under the `language` section of a config."""

    def __init__(self, language: Mapping):
        self.store, self.keys = TextStore(section(language, 'store')), Keys(language)

    def stages(self, *images: Content) -> dict[str, list[Stored]]:
        """Every stage of an image or a pair; of a pair, observations may be several records."""
        keys = {'observations': [self.keys.observation(*scene) for scene in self.keys.scenes(*images)],
                'paragraphs': [self.keys.paragraph(*images)], 'features': [self.keys.feature(*images)]}
        return {stage: [self._stored(stage, key) for key in of_stage] for stage, of_stage in keys.items()}

    def _stored(self, stage: str, key: str) -> Stored:
        path = self.store.path(stage, key)
        try:
            return Stored(key, path, self.store.checked(stage, key) if self.store.has(stage, key) else None)
        except DataError as error:
            return Stored(key, path, None, error.problem)

    def described(self, group: str, subject: Subject) -> Described:
        """One image or pair, ready for `check`."""
        modality = ' and '.join(image.modality for image in subject.images)
        try:
            content = content_of(subject)
            found = self.stages(*content)
        except DataError as error:
            return Described(group, str(subject), str(subject), None, modality=modality, damage=error.problem)
        seen = [one.record for one in found['observations']]
        [paragraph], [features] = ([one.record for one in found[stage]] for stage in ('paragraphs', 'features'))
        written = paragraph or features
        damage = next((one.damage for of_stage in found.values() for one in of_stage if one.damage), '')
        return Described(
            group, str(subject), ' '.join(image.sha256 for image in content), paragraph_of(written),
            tuple(stage for stage in STAGES if any(one.record is None and not one.damage for one in found[stage])),
            None if None in seen else observed_text([one for record in seen for one in observations(record)], modality),
            (features or {}).get('tokens'), (paragraph or {}).get('finish_reason', ''), modality, damage=damage,
            texts=texts_of(written) if written else ())


def observed_text(seen: Sequence[Observation], modality: str) -> str:
    """Text that an LLM reads, places and sizes in words included, without the rules of its prompt."""
    return PromptTemplate('', 0, '$modality $observations').render(seen, modality).text


def check(texts: Sequence[Described], prompt: str | None = None, limits: Limits | None = None) -> list[Row]:
    """Look at every paragraph; one row each, in order.

    - `refusal`, `filter`, `reasoning` and `chatter` look for what `vlfusion.language.answers` takes off or refuses:
      texts of an earlier run, or of somebody else, may hold it. `reasoning` also knows phrases as "the user wants".
    - `duplicate` compares letters only: spaces, capitals and punctuation do not count.
    - `loop` finds `LOOP` words in a row that come again, as when a weak LLM goes in circles.
    - `leak` finds `LEAK` words in a row of what the prompt says apart from the observations; a paraphrase escapes it.
    - `coordinates` and `digits` count where the prompt mentions coordinates and digits, because it forbids them;
      without a prompt both count.
    - `language` takes a text for English of which at least the share `ENGLISH` are function words (asked from eight
      words on) and of whose letters at most a fifth are beyond a to z. A bare list of things fails it too.
    - `unseen` is every word of the paragraph that is no function word, nothing one says of any image and, with endings
      such as -s, -ing, -ed and -ly taken off, not among the captioners' words. There is no dictionary: a synonym (`car`
      for `vehicle`) and a verb count as unseen, and a word that a captioner used of something else as seen. Compare
      counts between LLMs; do not read one as a number of mistakes.

    Args:
        texts: the paragraphs.
        prompt: the name of the prompt they were written for; None where nobody knows.
        limits: the lengths that are reported.
    """
    limits = limits or Limits()
    body = load_prompt(prompt).body if prompt else ''
    rules = [_words(part) for part in re.split(r'\$\{?\w+\}?', body)]
    leaks = {gram for part in rules for gram in _grams(part)}
    forbidden = [name for name, word in (('coordinates', 'coordinate'), ('digits', 'digit'))
                 if not prompt or word in body.lower()]
    same = {}
    for text in texts:
        if text.text and (words := _words(text.text)):
            same.setdefault(' '.join(words), {}).setdefault(text.content, text.image)
    return [_row(text, leaks, forbidden, same, limits) for text in texts]


def summary(rows: Sequence[Row]) -> dict[str, dict[str, float | None]]:
    """For each group the number of images, what each check found, and means of words and unseen words.

    None is what could not be checked for any image of the group.
    """
    groups = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    table = {}
    for group, of_group in groups.items():
        counts = {name: sum(row.found.get(name, False) for row in of_group)
                  if any(name in row.found for row in of_group) else None for name in CHECKS}
        written = [row.words for row in of_group if row.words]
        unseen = [row.unseen_count for row in of_group if row.unseen_count is not None]
        table[group] = {'images': len(of_group), **counts, 'words': _mean(written), 'unseen words': _mean(unseen)}
    return table


def fold(word: str) -> str:
    """A word without its plural or suffix, so that forms of one word are equal; not always a word itself.

    >>> [fold(word) for word in ('Benches', 'cities', 'focused', 'running', 'brightly', "man's", 'glass', 'image')]
    ['bench', 'city', 'focus', 'run', 'bright', 'man', 'glass', 'imag']
    """
    word = re.sub(r"['’]s?$", '', word.lower())
    for ending, put in (('ies', 'y'), ('sses', 'ss'), ('shes', 'sh'), ('ches', 'ch'), ('xes', 'x')):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            word = word.removesuffix(ending) + put
            break
    else:
        if word.endswith('s') and not word.endswith(('ss', 'us', 'is')) and len(word) > 3:
            word = word[:-1]
    for ending in ('ing', 'ed', 'ly', 'ness'):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            if ending in ('ing', 'ed') and word[-1] == word[-2] and word[-1] not in 'sl':
                word = word[:-1]
            break
    return word.removesuffix('e') if len(word) > 3 else word


def content_words(text: str) -> dict[str, str]:
    """The words that name something, as `fold` has them, each with how it first stands in the text.

    >>> content_words('The image shows two dogs, and a dog house on the left.')
    {'dog': 'dogs', 'hous': 'house'}
    """
    words: dict[str, str] = {}
    for word in _words(text):
        if len(word) > 2 and fold(word) not in _FOLDED_STOP:
            words.setdefault(fold(word), word)
    return words


_FOLDED_STOP = frozenset(map(fold, f'{_FUNCTION_WORDS} {_OF_IMAGES}'.split()))


def _row(text: Described, leaks: set[tuple[str, ...]], forbidden: Sequence[str], same: Mapping[str, Mapping[str, str]],
         limits: Limits) -> Row:
    row = Row(text.group, text.image, text.modality, tokens=text.tokens, missing=' '.join(text.missing or ()),
              finish_reason=text.finish_reason, problem=text.refusal or text.damage)
    found = {} if text.missing is None else {'missing': bool(text.missing), 'damaged': False}
    found |= {'damaged': True} if text.damage else {}
    if text.text is not None:
        words = _words(text.text)
        row.words = len(words)
        others = [path for content, path in same.get(' '.join(words), {}).items() if content != text.content]
        row.duplicate_of = _first(others)
        row.loop = _first(' '.join(gram) for gram, count in Counter(_grams(words, LOOP)).items() if count > 1)
        row.leak = _first(' '.join(gram) for gram in _grams(words) if gram in leaks)
        row.coordinates = _first(match[0] for match in _COORDINATES.finditer(text.text))
        row.digits = _first(re.findall(r'\d[\d.,]*\b', text.text))
        row.refusal, row.reasoning = refused(text.text), reasoned(text.text)
        if not row.refusal and not row.reasoning:
            row.chatter = _first(filter(None, map(chatter, text.texts or [text.text])))
        found |= {name: bool(getattr(row, name)) for name in ('refusal', 'reasoning', 'chatter')}
        found |= {'filter': is_filtered(text.text, text.finish_reason)}
        found |= {'empty': not words, 'duplicate': bool(others), 'loop': bool(row.loop),
                  'short': 0 < len(words) < limits.min_words}
        found |= {'leak': bool(row.leak)} if leaks else {}
        found |= {name: bool(getattr(row, name)) for name in forbidden}
        found |= {'cut': text.finish_reason == 'length'} if text.finish_reason else {}
        found['long'] = bool(len(words) > limits.max_words or text.refusal
                             or (limits.max_tokens and (text.tokens or 0) > limits.max_tokens))
        letters = ''.join(words)
        found['language'] = sum(not letter.isascii() for letter in letters) > len(letters) / 5
        if len(words) >= 8:
            row.english = round(sum(word in FUNCTION_WORDS for word in words) / len(words), 3)
            found['language'] |= row.english < ENGLISH
        if text.seen is not None:
            known = set(map(fold, _words(text.seen)))
            unseen = [word for folded, word in content_words(text.text).items() if folded not in known]
            row.unseen_count, row.unseen = len(unseen), ' '.join(unseen)
            found['unseen'] = bool(unseen)
    row.found = found
    row.issues = ' '.join(name for name in CHECKS if found.get(name))
    return row


def _mean(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _grams(words: Sequence[str], length: int = LEAK) -> Iterable[tuple[str, ...]]:
    return (tuple(words[start:start + length]) for start in range(len(words) - length + 1))


def _first(items: Iterable[str]) -> str:
    return next(iter(items), '')
