"""Parts of a vocabulary: phrases, templates and intents."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

from vlfusion.language.instructions.ask import Ask

SLOT = re.compile(r'\{(\w*)\}')
#: Slots that say how much.
AMOUNTS = ('degree', 'much', 'far')
#: Slots that say where.
LOCATIONS = ('place', 'front', 'scene')
#: Slots that name a source.
NAMES = ('source', 'other', 'word', 'other_word')


@dataclass(frozen=True)
class Phrases:
    """Phrases with one meaning.

    Attributes:
        train: those that training may see.
        held_out: those that only measuring uses.
    """

    train: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()

    def of(self, held_out: bool) -> tuple[str, ...]:
        """Return the phrases of training, and with `held_out` the held-out ones too."""
        return self.train + self.held_out if held_out else self.train


@dataclass(frozen=True)
class Template:
    """A sentence with slots.

    Attributes:
        text: the sentence, such as `make {scene}{much} brighter`.
        command: True for an imperative.
        degree: the degree that its words state themselves; None if a slot states it.
    """

    text: str
    command: bool = False
    degree: str | None = None

    @cached_property
    def slots(self) -> frozenset[str]:
        """Return the names of the slots."""
        return frozenset(SLOT.findall(self.text))

    def suits(self, degree: str, region: str) -> bool:
        """Tell whether a sentence made of it states the degree and the region.

        >>> Template('make it{much} brighter').suits('slightly', ''), Template('make it brighter').suits('slightly', '')
        (True, False)
        """
        states_degree = self.degree == degree if self.degree is not None else not (
            degree and self.slots.isdisjoint(AMOUNTS))
        return states_degree and not (region and self.slots.isdisjoint(LOCATIONS))

    @property
    def joinable(self) -> bool:
        """Return True if "and" can join it to another."""
        return self.command and 'front' not in self.slots

    def fill(self, fillers: Mapping[str, str]) -> str:
        """Fill the slots.

        >>> Template('make {scene}{much} brighter').fill(dict(scene='the left half', much=' a little'))
        'make the left half a little brighter'
        """
        return SLOT.sub(lambda slot: fillers[slot[1]], self.text).strip()


@dataclass(frozen=True)
class Intent:
    """An aim of instructions.

    Attributes:
        name: its name, such as `lead_a` or `brighter`.
        asks: numbers of each of its degrees; the plain degree is ''.
        train: templates of training.
        held_out: templates of measuring.
        whole: True if it concerns the whole picture and never a region.
        source: `a` or `b` if {source} is that one; '' if either is meant.
    """

    name: str
    asks: Mapping[str, Ask]
    train: tuple[Template, ...]
    held_out: tuple[Template, ...]
    whole: bool = False
    source: str = ''

    @property
    def quantities(self) -> frozenset[str]:
        """Return the quantities that it changes, such as `gradient` or `gain`."""
        return frozenset(re.sub('_[ab]$', '', name) for ask in self.asks.values() for name in ask.asked)

    def templates(self, degree: str, region: str, held_out: bool) -> list[Template]:
        """List the templates of training, or those held out, that state a degree and a region."""
        return self._by_case[degree, bool(region), held_out]

    @cached_property
    def _by_case(self) -> dict[tuple[str, bool, bool], list[Template]]:
        """Templates by degree, region or none, and held out or not: draws need them often."""
        return {(degree, bool(region), held_out): [template for template in templates
                                                   if template.suits(degree, region)]
                for degree, region in product(self.asks, ('', 'a region'))
                for held_out, templates in ((False, self.train), (True, self.held_out))}


@dataclass(frozen=True)
class Region:
    """Phrases of a region: `places` say where, such as `on the left`; `scenes` name it, such as `the left half`."""

    places: Phrases = field(default_factory=Phrases)
    scenes: Phrases = field(default_factory=Phrases)


@dataclass(frozen=True)
class Names:
    """Names of a source: `phrases` with an article, such as `the PET`; `words` without, such as `PET`."""

    phrases: Phrases = field(default_factory=Phrases)
    words: Phrases = field(default_factory=Phrases)
