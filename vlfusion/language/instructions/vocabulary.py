"""Vocabulary of instructions: drawing sentences to train with, and held-out paraphrases to measure with."""

import os
import re
from collections.abc import Sequence
from hashlib import sha256
from itertools import product
from pathlib import Path

import numpy as np

from vlfusion.errors import ConfigError, UnknownNameError, did_you_mean
from vlfusion.language.instructions.ask import Ask, Instruction
from vlfusion.language.instructions.file import BOX, DEGREES, Parts, read_parts
from vlfusion.language.instructions.parts import Intent, Template
from vlfusion.language.instructions.writer import BOX_PREFIX, Writer, choose, punctuate

#: Draws of known texts in a row after which a pool has all texts that there are.
_MOST_REPEATED = 500


class Vocabulary:
    """Sentences about a fused picture, with the numbers that they ask for.

    >>> vocabulary = Vocabulary.read('fusion.v2')
    >>> vocabulary.cases('MRI', 'PET', intents=['brighter'], degrees=[''], per_case=2)  # doctest: +ELLIPSIS
    [Instruction(text='...', intent='brighter', degree='', region='', ask=Ask(...gain=1.3,...)), ...]

    Attributes:
        id: name and version, such as `fusion.v2`.
        sha256: digest of its file.
    """

    def __init__(self, id: str, sha256: str, parts: Parts):
        self.id, self.sha256, self._parts = id, sha256, parts

    @classmethod
    def read(cls, name: str | os.PathLike = 'fusion.v2') -> 'Vocabulary':
        """Read a vocabulary that ships, by its name, or your own file, by its path.

        Raises:
            UnknownNameError: no vocabulary has that name.
            ConfigError: the file cannot be read, is not named like `mine.v1.toml`, or has a fault; names file and key.
        """
        name = os.fspath(name)
        shipped = {path.stem: path for path in Path(__file__).parent.glob('*.toml')}
        if not name.endswith('.toml') and name not in shipped:
            raise UnknownNameError(f'There is no vocabulary {name!r}.',
                                   did_you_mean(name, shipped) + ' Name your own file by its path, mine.v1.toml.')
        path = shipped[name] if name in shipped else Path(name)
        if not re.fullmatch(r'\w+\.v\d+\.toml', path.name):
            raise ConfigError(f'The vocabulary {path} is not named by a word and a version.',
                              'Name it like mine.v1.toml.')
        parts = read_parts(path)
        return cls(path.stem, sha256(path.read_text(encoding='utf-8').encode()).hexdigest(), parts)

    @property
    def intents(self) -> tuple[str, ...]:
        """Return the names of the intents, such as `lead_a`."""
        return tuple(self._parts.intents)

    @property
    def degrees(self) -> tuple[str, ...]:
        """Return the degrees: `slightly`, '' for the plain one, and `strongly`."""
        return tuple(DEGREES.values())

    @property
    def regions(self) -> tuple[str, ...]:
        """Return the regions; '' is the whole picture. Things with a box are `box:LABEL`."""
        return tuple(region for region in self._parts.regions if region != BOX)

    def ask(self, intent: str, degree: str = '') -> Ask:
        """Return the numbers behind an intent.

        >>> Vocabulary.read().ask('brighter', 'strongly').gain
        1.6

        Raises:
            UnknownNameError: no intent has that name, or it has no such degree.
        """
        asks = self._intent(intent).asks
        if degree not in asks:
            raise UnknownNameError(f'{intent} has no degree {degree!r}.',
                                   f'Give one of {", ".join(map(repr, asks))}.')
        return asks[degree]

    def draw(self, rng: np.random.Generator, modality_a: str, modality_b: str, *, held_out: bool = False,
             intents: Sequence[str] | None = None, regions: Sequence[str] | None = None,
             joined: float = 0.) -> Instruction:
        """Draw an instruction.

        Intents and degrees are equally frequent. If the whole picture and regions are possible, half of the draws
        concern the whole picture. In training a sentence may begin in lower case or lack its full stop.

        Args:
            rng: source of chance.
            modality_a: modality of source A, such as `MRI`; names by position, such as `source A`, are drawn too.
            modality_b: modality of source B.
            held_out: draw a held-out template, and fill it with words of training or held-out ones.
            intents: intents to draw from; None for all.
            regions: regions to draw from, '' for the whole picture; None for `regions`.
            joined: chance that a second instruction about another quantity and the same region is joined to the first.

        Raises:
            UnknownNameError: no intent or region has that name.
            ConfigError: none of the intents can concern one of the regions.
        """
        known = self._known_regions(self.regions if regions is None else regions)
        possible = [intent for name in (self.intents if intents is None else intents)
                    if not (intent := self._intent(name)).whole and known or '' in known]
        if not possible:
            raise ConfigError('None of the intents can concern one of the regions.',
                              "Add '' to the regions, or an intent that is not about the whole picture.")
        intent = choose(rng, possible)
        region = '' if intent.whole else _draw_region(rng, known)
        aims = [(intent, choose(rng, tuple(intent.asks)))]
        if rng.random() < joined and (others := [other for other in possible if _can_join(intent, other, region)]):
            other = choose(rng, others)
            aims.append((other, choose(rng, tuple(other.asks))))
        writer = Writer(self._parts, (modality_a, modality_b), held_out)
        sentences = [writer.write(rng, choose(rng, _templates(aim, degree, region, held_out, len(aims) > 1)), aim,
                                  degree, region) for aim, degree in aims]
        numbers = {name: number for aim, degree in aims for name, number in aim.asks[degree].asked.items()}
        return Instruction(
            text=punctuate(choose(rng, (' and ', ' but ')).join(sentences), None if held_out else rng),
            intent='+'.join(aim.name for aim, _ in aims), degree='+'.join(degree for _, degree in aims),
            region=region, ask=Ask(**numbers))

    def pool(self, size: int, modality_a: str, modality_b: str, *, held_out: bool = False, seed: int = 0,
             intents: Sequence[str] | None = None, regions: Sequence[str] | None = None,
             joined: float = 0.) -> list[Instruction]:
        """Draw instructions of distinct texts. The same arguments give the same ones.

        Args:
            size: number of instructions.
            seed: seed of chance.
            modality_a, modality_b, held_out, intents, regions, joined: see `draw`.

        Raises:
            ConfigError: the vocabulary has fewer distinct texts.
        """
        rng, pool, repeated = np.random.default_rng(seed), {}, 0
        while len(pool) < size:
            instruction = self.draw(rng, modality_a, modality_b, held_out=held_out, intents=intents, regions=regions,
                                    joined=joined)
            repeated = repeated + 1 if instruction.text in pool else 0
            pool.setdefault(instruction.text, instruction)
            if repeated == _MOST_REPEATED:
                raise ConfigError(f'Expected {size} distinct instructions, but about {len(pool)} exist.',
                                  'Ask for fewer, or for more intents or regions.')
        return list(pool.values())

    def cases(self, modality_a: str, modality_b: str, *, held_out: bool = True, intents: Sequence[str] | None = None,
              degrees: Sequence[str] | None = None, regions: Sequence[str] = ('',), per_case: int = 4,
              seed: int = 0) -> list[Instruction]:
        """List every intent in every degree and region, each in several paraphrases, to measure with.

        Combinations that do not exist, such as a colour of a region, are left out. A case has the same paraphrases
        whatever else is listed.

        Args:
            degrees: degrees to list; None for all.
            regions: regions to list, such as `left` or `box:the people`; '' is the whole picture.
            per_case: number of paraphrases of each case, fewer if the vocabulary has fewer.
            modality_a, modality_b, held_out, intents, seed: see `pool`.

        Raises:
            UnknownNameError: no intent, degree or region has that name.
        """
        listed = [self._intent(name) for name in (self.intents if intents is None else intents)]
        for degree in degrees or ():
            if degree not in self.degrees:
                raise UnknownNameError(f'There is no degree {degree!r}.', did_you_mean(degree, self.degrees))
        writer, cases = Writer(self._parts, (modality_a, modality_b), held_out), []
        for intent, degree, region in product(listed, self.degrees if degrees is None else degrees,
                                              self._known_regions(regions)):
            if degree in intent.asks and not (intent.whole and region):
                rng = np.random.default_rng([seed, *f'{intent.name}/{degree}/{region}'.encode()])
                texts = self._paraphrases(rng, intent, degree, region, writer, per_case)
                cases += [Instruction(text, intent.name, degree, region, intent.asks[degree]) for text in texts]
        return cases

    def _intent(self, name: str) -> Intent:
        if name not in self._parts.intents:
            raise UnknownNameError(f'There is no intent {name!r}.', did_you_mean(name, self.intents))
        return self._parts.intents[name]

    def _known_regions(self, regions: Sequence[str]) -> Sequence[str]:
        for region in regions:
            is_box = region.startswith(BOX_PREFIX) and region[len(BOX_PREFIX):].strip() and BOX in self._parts.regions
            if region not in self.regions and not is_box:
                raise UnknownNameError(f'There is no region {region!r}.',
                                       did_you_mean(region, [*self.regions, f'{BOX_PREFIX}LABEL']))
        return regions

    def _paraphrases(self, rng: np.random.Generator, intent: Intent, degree: str, region: str, writer: Writer,
                     count: int) -> list[str]:
        """Write distinct sentences. Each template is used once before one is used twice."""
        templates = intent.templates(degree, region, writer.held_out)
        texts = {}
        for index in (index for _ in range(10) for index in rng.permutation(len(templates))):
            if len(texts) < count:
                texts[punctuate(writer.write(rng, templates[index], intent, degree, region))] = None
        return list(texts)


def _draw_region(rng: np.random.Generator, regions: Sequence[str]) -> str:
    parts = [region for region in regions if region]
    return '' if not parts or ('' in regions and rng.random() < 0.5) else choose(rng, parts)


def _can_join(intent: Intent, other: Intent, region: str) -> bool:
    """Tell whether two intents change different quantities, and both can concern the region."""
    differ = intent.quantities and other.quantities and intent.quantities.isdisjoint(other.quantities)
    return bool(differ) and not (other.whole and region)


def _templates(intent: Intent, degree: str, region: str, held_out: bool, joined: bool) -> list[Template]:
    templates = intent.templates(degree, region, held_out)
    return [template for template in templates if template.joinable] or templates if joined else templates
