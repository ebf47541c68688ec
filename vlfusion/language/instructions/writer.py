"""Writing sentences: fill templates with names of sources, adverbs and places."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from vlfusion.language.instructions.file import BOX, Parts
from vlfusion.language.instructions.parts import AMOUNTS, SLOT, Intent, Names, Phrases, Template

#: Start of the name of a region with a box; the label follows.
BOX_PREFIX = f'{BOX}:'
_BY_POSITION = 0.25
_Item = TypeVar('_Item')


@dataclass(frozen=True)
class Writer:
    """Writes sentences about one pair of modalities.

    Attributes:
        parts: the vocabulary's phrases.
        modalities: modality of source A and of source B.
        held_out: True to use held-out phrases too.
    """

    parts: Parts
    modalities: tuple[str, str]
    held_out: bool

    def write(self, rng: np.random.Generator, template: Template, intent: Intent, degree: str, region: str) -> str:
        """Fill a template. The sentence begins in lower case, unless with a name, and has no full stop."""
        names = self._names(rng, template)
        if (intent.source or choose(rng, 'ab')) == 'b':
            names = names[::-1]
        return template.fill({slot: self._filler(rng, slot, names, '' if template.degree else degree, region)
                              for slot in SLOT.findall(template.text)})

    def _filler(self, rng: np.random.Generator, slot: str, names: tuple[Names, Names], degree: str,
                region: str) -> str:
        if slot in AMOUNTS:
            return f' {self._pick(rng, self.parts.adverbs[degree][slot])}' if degree else ''
        if slot in ('source', 'word'):
            return self._pick(rng, names[0].phrases if slot == 'source' else names[0].words)
        if slot in ('other', 'other_word'):
            return self._pick(rng, names[1].phrases if slot == 'other' else names[1].words)
        kind, colon, label = region.partition(':')
        phrases = self.parts.regions[kind]
        if slot == 'scene':
            filler = self._pick(rng, phrases.scenes)
        elif not region:
            return ''
        else:
            place = self._pick(rng, phrases.places)
            filler = f' {place}' if slot == 'place' else f'{place}, '
        return filler.replace('{label}', ' '.join(label.split()))

    def _pick(self, rng: np.random.Generator, phrases: Phrases) -> str:
        return choose(rng, phrases.of(self.held_out))

    def _names(self, rng: np.random.Generator, template: Template) -> tuple[Names, Names]:
        """Choose names by modality or by position, both of one kind."""
        named = self._by_modality
        lacks_words = any(slot in template.slots and not names.words.of(self.held_out)
                          for slot in ('word', 'other_word') for names in named)
        return self.parts.sources if not named or lacks_words or rng.random() < _BY_POSITION else named

    @cached_property
    def _by_modality(self) -> tuple[Names, Names] | tuple[()]:
        """Names by modality, or nothing if these do not tell the sources apart."""
        a, b = (self.parts.modality(modality) for modality in self.modalities)
        return (a, b) if a != b and a.phrases.train and b.phrases.train else ()


def choose(rng: np.random.Generator, items: Sequence[_Item]) -> _Item:
    """Draw an item; all are equally probable."""
    return items[int(rng.integers(len(items)))]


def punctuate(text: str, rng: np.random.Generator | None = None) -> str:
    """Begin with a capital letter and end with a full stop; with a source of chance, leave out either at random.

    >>> punctuate('more PET')
    'More PET.'
    """
    capital, stop = (True, True) if rng is None else rng.random(2) < 0.5
    text = text[0].upper() + text[1:] if capital else text
    return text if not stop or text.endswith('?') else f'{text}.'
