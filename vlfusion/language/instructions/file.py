"""Reading and checking the file of a vocabulary. `fusion.v2.toml` explains the format."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.language.instructions.ask import REGIONS, Ask
from vlfusion.language.instructions.parts import (
    AMOUNTS,
    LOCATIONS,
    NAMES,
    SLOT,
    Intent,
    Names,
    Phrases,
    Region,
    Template,
)
from vlfusion.zoo.facts import check_facts, read_toml

#: Degrees by their keys in the file.
DEGREES = {'slightly': 'slightly', 'plain': '', 'strongly': 'strongly'}
#: Region of things that the caller has a box of.
BOX = 'box'
_WHOLE, _OTHER = 'whole', 'other'
_SPLITS = ('train', 'held_out')
_SHARES = ('intensity', 'gradient')
#: Blanks too many: before slots that bring one, double, and at the ends. A full stop at the end.
_BLANKS = re.compile(r' \{(?:degree|much|far|place)\}|  |^\s|\s$|\.$')


@dataclass(frozen=True)
class Parts:
    """Content of a vocabulary's file.

    Attributes:
        intents: the intents by name.
        regions: phrases of each region; '' is the whole picture.
        adverbs: phrases by degree and slot.
        sources: names of A and of B by position.
        modalities: names by the spelling of `spell`.
        other: names of any other modality, with the slot {modality}.
    """

    intents: Mapping[str, Intent]
    regions: Mapping[str, Region]
    adverbs: Mapping[str, Mapping[str, Phrases]]
    sources: tuple[Names, Names]
    modalities: Mapping[str, Names]
    other: Names

    def modality(self, name: str) -> Names:
        """Return the names of a modality; of one that the file does not list, its own name."""
        if (spelling := spell(name)) in self.modalities or not spelling:
            return self.modalities.get(spelling, Names())
        return Names(*(Phrases(*(tuple(phrase.replace('{modality}', name) for phrase in split)
                                 for split in (phrases.train, phrases.held_out)))
                       for phrases in (self.other.phrases, self.other.words)))


def read_parts(path: Path) -> Parts:
    """Read a file and check it; raise ConfigError with file and key if it is faulty."""
    where, facts = str(path), read_toml(path)
    sections = ('adverbs', 'regions', 'sources', 'modalities', 'intents')
    check_facts(where, facts, dict.fromkeys(sections, Mapping), required=sections)
    adverbs, sources = facts['adverbs'], facts['sources']
    graded = ('slightly', 'strongly')
    check_facts(f'{where}: adverbs', adverbs, dict.fromkeys(graded, Mapping), graded)
    check_facts(f'{where}: sources', sources, dict.fromkeys('ab', Mapping), 'ab')
    return Parts(
        intents={intent.name: intent for name, table in facts['intents'].items()
                 for intent in _intents(f'{where}: intents.{name}', name, table)},
        regions=_regions(f'{where}: regions', facts['regions']),
        adverbs={degree: _phrases(f'{where}: adverbs.{degree}', table, AMOUNTS, required=AMOUNTS)
                 for degree, table in adverbs.items()},
        sources=tuple(_names(f'{where}: sources.{source}', sources[source], required=('phrases', 'words'))
                      for source in 'ab'),
        modalities=_modalities(f'{where}: modalities', facts['modalities']),
        other=_names(f'{where}: modalities.{_OTHER}', facts['modalities'].get(_OTHER, {}), ('modality',)))


def spell(modality: str) -> str:
    """Give the name of a modality one spelling.

    >>> spell('Over-exposed') == spell('overexposed')
    True
    """
    return re.sub(r'[\W_]', '', modality).casefold()


def expand(template: str) -> list[str]:
    """Write a template out for each of its alternatives.

    >>> expand('[raise|lift] the brightness')
    ['raise the brightness', 'lift the brightness']
    """
    parts = re.split(r'\[([^][]*)\]', template)
    choices = [part.split('|') if index % 2 else [part] for index, part in enumerate(parts)]
    return [''.join(chosen) for chosen in product(*choices)]


def _regions(where: str, facts: Mapping[str, Any]) -> dict[str, Region]:
    check_facts(where, facts, dict.fromkeys((_WHOLE, *REGIONS[1:], BOX), Mapping), (_WHOLE,))
    regions = {}
    for name, table in facts.items():
        needed = ('scenes',) if name == _WHOLE else ('places', 'scenes')
        regions['' if name == _WHOLE else name] = Region(**_phrases(
            f'{where}.{name}', table, needed, ('label',) if name == BOX else (), needed))
    return regions


def _modalities(where: str, facts: Mapping[str, Any]) -> dict[str, Names]:
    modalities = {}
    for name, table in facts.items():
        if name == _OTHER:
            continue
        names = _names(f'{where}.{name}', table)
        for spelling in map(spell, (name, *table.get('also', ()))):
            if spelling in modalities:
                raise ConfigError(f'{where}.{name} is called {spelling}, as another modality is.',
                                  'Rename one of them.')
            modalities[spelling] = names
    return modalities


def _names(where: str, table: Any, slots: Sequence[str] = (), required: Sequence[str] = ()) -> Names:
    check_facts(where, table, {'also': list[str], **dict.fromkeys(_SPLITS, Mapping)})
    spoken = {key: value for key, value in table.items() if key != 'also'}
    return Names(**_phrases(where, spoken, ('phrases', 'words'), slots, required))


def _phrases(where: str, table: Any, keys: Sequence[str], slots: Sequence[str] = (),
             required: Sequence[str] = ()) -> dict[str, Phrases]:
    """Read the phrases of each key, from `train.KEY` and `held_out.KEY`. Those required have one in training."""
    check_facts(where, table, dict.fromkeys(_SPLITS, Mapping), ('train',) if required else ())
    for split in table:
        check_facts(f'{where}.{split}', table[split], dict.fromkeys(keys, list[str]))
        for key, phrases in table[split].items():
            for phrase in phrases:
                _check_slots(f'{where}.{split}.{key}', phrase, slots)
    phrases = {key: Phrases(*(tuple(table.get(split, {}).get(key, ())) for split in _SPLITS)) for key in keys}
    for key in required:
        if not phrases[key].train:
            raise ConfigError(f'{where}.train has no {key}.', f'Add {key} = ["..."].')
    for key, pair in phrases.items():
        _check_apart(f'{where}.held_out.{key}', pair.train, pair.held_out)
    return phrases


def _intents(where: str, name: str, table: Any) -> Iterator[Intent]:
    """Yield the intent, or one for each source."""
    check_facts(where, table, {'whole': bool, 'numbers': Mapping, **dict.fromkeys(_SPLITS, Mapping)},
                ('numbers', *_SPLITS))
    numbers = table['numbers']
    check_facts(f'{where}.numbers', numbers, dict.fromkeys(DEGREES, Mapping))
    sided = any(key in _SHARES for asked in numbers.values() for key in asked)
    keys = _SHARES if sided else [field.name for field in fields(Ask)]
    train, held_out = (tuple(_templates(f'{where}.{split}', table[split], sided)) for split in _SPLITS)
    _check_apart(f'{where}.held_out', [template.text for template in train], [template.text for template in held_out])
    for source in 'ab' if sided else ('',):
        asks = {}
        for degree, asked in numbers.items():
            check_facts(f'{where}.numbers.{degree}', asked, dict.fromkeys(keys, float))
            try:
                asks[DEGREES[degree]] = Ask(**{f'{key}_{source}' if sided else key: asked[key] for key in asked})
            except ConfigError as error:
                raise ConfigError(f'{where}.numbers.{degree}: {error.problem}', error.remedy) from None
        intent = Intent(f'{name}_{source}' if sided else name, asks, train, held_out, table.get('whole', False), source)
        _check_complete(where, intent)
        yield intent


def _templates(where: str, table: Mapping[str, Any], sided: bool) -> Iterator[Template]:
    check_facts(where, table, dict.fromkeys(('commands', 'remarks', 'slightly', 'strongly'), list[str]))
    for key, texts in table.items():
        degree = None if key in ('commands', 'remarks') else key
        for text in texts:
            for sentence in expand(text):
                template = Template(sentence, key == 'commands', degree)
                _check_template(f'{where}.{key}', template, sided)
                yield template


def _check_template(where: str, template: Template, sided: bool) -> None:
    _check_slots(where, template.text, (*AMOUNTS, *LOCATIONS, *NAMES))
    slots = SLOT.findall(template.text)
    if sum(slot in AMOUNTS for slot in slots) > (template.degree is None):
        raise ConfigError(f'{where}: {template.text!r} states the degree twice.', 'Leave one of its slots out.')
    if sum(slot in LOCATIONS for slot in slots) > 1:
        raise ConfigError(f'{where}: {template.text!r} states the region twice.', 'Leave one of its slots out.')
    if sided and template.slots.isdisjoint(NAMES):
        raise ConfigError(f'{where}: {template.text!r} does not say which source it means.',
                          f'Give it one of the slots {", ".join(NAMES)}.')


def _check_slots(where: str, text: str, slots: Sequence[str]) -> None:
    for slot in SLOT.findall(text):
        if slot not in slots:
            raise ConfigError(f'{where}: {text!r} has an unknown slot {{{slot}}}.', did_you_mean(slot, slots))
    if re.search(r'[{}[\]|]', SLOT.sub('', text)):
        raise ConfigError(f'{where}: {text!r} has a stray brace, bracket or bar.',
                          'Write slots as {name}, and in templates alternatives as [one|another].')
    if not text or _BLANKS.search(text):
        raise ConfigError(f'{where}: {text!r} is empty, ends with a full stop, or has a blank too many.',
                          'Slots of adverbs and {place} bring the blank before them. The full stop is added later.')


def _check_apart(where: str, train: Sequence[str], held_out: Sequence[str]) -> None:
    for text in held_out:
        if text in train:
            raise ConfigError(f'{where}: {text!r} is in train too.', 'Measuring needs words that training never saw.')


def _check_complete(where: str, intent: Intent) -> None:
    for degree in intent.asks:
        for region in ('',) if intent.whole else ('', 'a region'):
            for split in _SPLITS:
                if not intent.templates(degree, region, split == 'held_out'):
                    raise ConfigError(
                        f'{where}.{split} has no template for the degree {degree or "plain"} of '
                        f'{region or "the whole picture"}.',
                        'Add one that states both.')
