"""The text of a pair: from the caller, or from the text store, which is filled first if necessary."""

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from vlfusion.data.joining import join_rule
from vlfusion.data.pairs import Pair
from vlfusion.data.text import STREAMS, FixedText, encode_given, require_finite, text_configs, text_sources
from vlfusion.data.text import described as described_source
from vlfusion.engine.trust import believed_parts
from vlfusion.errors import ConfigError, DataError, VLFusionError, did_you_mean
from vlfusion.language.fixed import encode_fixed
from vlfusion.language.keys import Keys
from vlfusion.language.recipes import combine, find_words
from vlfusion.language.section import INSTRUCTION, section_of
from vlfusion.registry import TEXT_ENCODERS
from vlfusion.zoo.entries import find_models

if TYPE_CHECKING:
    from vlfusion.language.interfaces import TextEncoder
    from vlfusion.language.pipeline import DescriptionPipeline, Report
    from vlfusion.language.subjects import Subject

#: A place `(x0, y0, x1, y1)` as fractions of width and height from the upper left.
Box = tuple[float, float, float, float]
#: Token features `(token, dim)`, or a dict of them by the name of the text.
Text = np.ndarray | Mapping[str, np.ndarray] | None
Progress = Callable[[str, int, int], None]


class Texts:
    """The texts that a model reads. Features are found in the text store, and new images are described.

    Args:
        experiment: experiment of the model, as `vlfusion.engine.checkpoints.load_model` returns it.
        dims: widths of the texts that the model reads, by name.
        modality_a, modality_b: modalities of the sources, for pairs that do not name their own.
        words: name of a recipe, config with a `language` section, or such a section; by default the experiment's.
            The model's own text encoder stays, see `vlfusion.language.recipes.combine`.
        store: folder of the text store; by default the section's.
        optional: names of the texts that the model may do without. Of these it reads those that the experiment has a
            source for, descriptions if words are chosen, and those that a caller gives.

    Attributes:
        language: section by which images are described; None if there is none, or none that is trusted.
        source: source of each text, by name. An optional text without one is left out.
        note: what chosen words are and which text encoder reads them, for the user; empty without chosen words.
    """

    def __init__(self, experiment: Mapping[str, Any], dims: Mapping[str, int], *, modality_a: str, modality_b: str,
                 words: str | os.PathLike | Mapping | None = None, store: str | os.PathLike | None = None,
                 optional: Collection[str] = ()):
        self.dims, self.modality_a, self.modality_b = dict(dims), modality_a, modality_b
        self.language, self._language_error = experiment.get('language'), experiment.get('language_error')
        self._readable, self._believed = experiment.get('readable_language'), believed_parts(experiment)
        self.note = ''
        if words is not None:
            self.language, self.note = combine(find_words(words), self._believed, trained=True)
            if not self.dims:
                self.note = 'The model reads no text, so words have no effect on it.'
        if store:
            self.language, self._readable, self._believed = (
                section and {**section, 'store': str(store)}
                for section in (self.language, self._readable, self._believed))
        own = text_configs(described_source(experiment.get('text_source')))
        self.source = {name: own.get(name, {'stream': 'pair/paragraph'}) for name in self.dims
                       if name in own or name not in optional or (words is not None and name != INSTRUCTION)}
        self._describing = Lock()

    @property
    def about_images(self) -> list[str]:
        """Names of the texts that are about the images: all but the instruction."""
        return [name for name in self.dims if name != INSTRUCTION]

    def instruct(self, sentence: str) -> None:
        """Let the model read an instruction for all pairs; errors as for `encode`."""
        self.encode(sentence)
        self.source = {**self.source, INSTRUCTION: {'fixed': sentence.strip()}}

    def encode(self, sentence: str) -> Float[np.ndarray, 'token dim']:
        """Return the features of an instruction. The model's text encoder reads it once; the text store keeps them.

        Raises:
            ConfigError: the model reads no instruction, or the instruction is blank.
            DataError: the instruction is longer than the encoder reads, or the encoder is not the model's.
            VLFusionError: the checkpoint names no text encoder that is trusted, or it cannot be built.
        """
        check_instruction(sentence, self.dims)
        language, sentence = self._encoding(), sentence.strip()
        encode_fixed(language, [sentence], lambda: self._encoder)
        return self._checked(INSTRUCTION, FixedText(language, sentence).features, 'the instruction')

    def encode_words(self, words: Sequence[str]) -> dict[str, Float[np.ndarray, 'token dim']]:
        """Return the features of words that somebody wrote instead of the descriptions of a pair, by text.

        The model's text encoder reads each paragraph once; the text store keeps them. Words that equal the descriptions
        give the features of these.

        Args:
            words: a paragraph on source A and one on source B; or one on the pair, if the prompt is about pairs.

        Raises:
            ConfigError: the model reads no descriptions, or another number of paragraphs.
            DataError: a paragraph is longer than the encoder reads.
            VLFusionError: as for `encode`.
        """
        streams = {name: source for name, source in self.source.items() if 'stream' in source}
        if not streams:
            raise ConfigError('Words were given, but the model reads no descriptions of images.', 'Leave them out.')
        language = self._words()
        of_pairs = Keys(language).of_pairs
        if len(words) != (expected := 1 if of_pairs else 2):
            raise ConfigError(f'The model reads {expected} paragraphs on a pair, but got {len(words)}.',
                              'Give one on the pair.' if of_pairs else 'Give one on source A and one on source B.')
        words = [paragraph.strip() for paragraph in words]
        encode_fixed(language, words, lambda: self._pipeline.encoder)
        parts, features = [FixedText(language, paragraph).features for paragraph in words], {}
        for name, source in streams.items():
            read = parts if of_pairs else [parts['ab'.index(side)] for side in STREAMS[source['stream']]]
            joined = join_rule(source.get('join'), len(read))(read)
            features[name] = self._checked(name, joined, 'the given words')
        return features

    def by_name(self, text: Text) -> dict[str, np.ndarray]:
        """Sort the features that a caller gave by the names of the model's texts.

        Raises:
            ConfigError: the model reads no text of this name; or it reads several texts beside an instruction, but one
                was given.
        """
        reads = f'the model reads {", ".join(self.dims) or "no text"}'
        if text is None or isinstance(text, Mapping):
            features = dict(text or {})
        elif len(names := self.about_images or list(self.dims)) == 1:
            features = {names[0]: text}
        else:
            raise ConfigError(f'One text was given, but {reads}.',
                              'Give a dict of texts.' if self.dims else 'Leave the text out.')
        if unknown := features.keys() - self.dims.keys():
            raise ConfigError(f'A text {min(unknown)!r} was given, but {reads}.', did_you_mean(min(unknown), self.dims))
        return features

    def features(self, pair: Pair, given: Mapping[str, np.ndarray],
                 described: bool = False) -> dict[str, Float[np.ndarray, 'token dim']]:
        """The features of all texts of a pair, by name; an optional text without a source is left out.

        Args:
            pair: pair to find the texts of.
            given: features by name that are used instead of the store's.
            described: whether the store already has the pair's texts.

        Raises:
            DataError: features have another width than the model's, or hold NaN or infinity.
            VLFusionError: as for `describe`.
        """
        if (missing := [name for name in self.source if name not in given]) and not described:
            with self._describing:
                self.describe([pair], missing)
        full_pair = self._with_modalities(pair)
        return {name: self._checked(name, given[name] if name in given else self._stored(name, full_pair),
                                    f'{name} of {pair.name}')
                for name in self.dims if name in self.source or name in given}

    def describe(self, pairs: Sequence[Pair], names: Sequence[str] | None = None, strict: bool = True,
                 progress: Progress | None = None) -> dict[Pair, DataError]:
        """Describe pairs in one batch, unless the text store already has their texts.

        Args:
            pairs: pairs to describe.
            names: names of the texts to make; by default all.
            strict: whether a pair that cannot be described is an error.
            progress: called with a stage, the items done and the items in total.

        Returns:
            The pairs that could not be described, each with the reason.

        Raises:
            DataError: a pair cannot be described, and `strict` is true.
            VLFusionError: no `language` section says how to describe images, or one of its parts cannot be built.
        """
        if self.language is None and self._readable:
            return {}  # the store may be read, but not filled
        sources = {name: self.source[name] for name in (self.source if names is None else names)}
        if not sources:
            return {}
        full_pairs = {pair: self._with_modalities(pair) for pair in pairs}
        report = make_words(self._words(), sources, list(full_pairs.values()), lambda: self._pipeline, progress)
        if not report:
            return {}
        if strict:
            report.raise_if_failed()
        faults = {}
        for pair, full_pair in full_pairs.items():
            failures = [report.failed[subject] for subject in self._pipeline.subjects([full_pair])
                        if subject in report.failed]
            if failures:
                error = failures[0]
                faults[pair] = error if isinstance(error, DataError) else DataError(str(error))
        return faults

    def paragraphs(self, pair: Pair, given: Collection[str] = ()) -> dict[str, str]:
        """Return the words that the model read about a pair, each under what it is about; empty if it read none.

        Descriptions are under the modality of their image, or `pair` if the prompt is about pairs. A fixed text, such
        as an instruction, is under the text's name.

        Args:
            pair: the pair.
            given: names of texts whose features a caller gave, so that their words are not known.
        """
        sources = {name: source for name, source in self.source.items() if name not in given}
        words = {'pair' if len(subject.images) == 2 else subject.images[0].modality: self._pipeline.paragraph(subject)
                 for subject in self._described(pair, sources)}
        return words | {name: source['fixed'] for name, source in sources.items() if 'fixed' in source}

    def descriptions(self, pair: Pair) -> list[str]:
        """Return the descriptions that the model read, in the order that `encode_words` takes them; maybe none."""
        return [self._pipeline.paragraph(subject) for subject in self._described(pair, self.source)]

    def _described(self, pair: Pair, sources: Mapping[str, Mapping]) -> list['Subject']:
        """Subjects whose descriptions are among these sources of text."""
        if not (self.language and any('stream' in source for source in sources.values())):
            return []
        return self._pipeline.subjects([self._with_modalities(pair)])

    @property
    def instruction(self) -> str | None:
        """The instruction for all pairs, if there is one."""
        return self.source.get(INSTRUCTION, {}).get('fixed')

    def named_boxes(self, pair: Pair, sentence: str) -> dict[str, list[Box]]:
        """Return the boxes of things that a captioner found in a described pair and a sentence names, by their names.

        A name is found in the sentence if its words stand there next to each other, in the singular or the plural.
        Observations that the text store has lost have no boxes.
        """
        named: dict[str, list[Box]] = {}
        for subject in self._described(pair, self.source):
            try:
                observations = self._pipeline.prompt_of(subject).observations
            except DataError:
                continue
            for observation in observations:
                if observation.box and names_thing(sentence, observation.text):
                    named.setdefault(observation.text, []).append(observation.box)
        return named

    def _with_modalities(self, pair: Pair) -> Pair:
        return replace(pair, modality_a=pair.modality_a or self.modality_a,
                       modality_b=pair.modality_b or self.modality_b)

    @cached_property
    def _pipeline(self) -> 'DescriptionPipeline':
        # Cached, so that the text encoder is loaded once for all pairs.
        from vlfusion.language.pipeline import DescriptionPipeline
        return DescriptionPipeline(self._words())

    def _words(self) -> Mapping:
        """The section by which images are described; raises a VLFusionError if there is none that is trusted."""
        if self.language is None:
            raise self._language_error or ConfigError(
                'The model reads text, but its checkpoint does not say how to describe images.',
                'Give a recipe with --words NAME (`vlfusion words` lists them), or the features of the pair with '
                '--text; in Python `words=` and `text=`.')
        return self.language

    @cached_property
    def _encoder(self) -> 'TextEncoder':
        # Cached, so that it is loaded once for all instructions.
        return TEXT_ENCODERS.build(self._encoding()['encoder'])

    def _encoding(self) -> Mapping:
        """The section by which an instruction is encoded; raises a VLFusionError if no encoder in it is trusted."""
        language = section_of(INSTRUCTION, self.language or self._believed)
        if 'encoder' not in language:
            raise self._language_error or ConfigError(
                'The model reads an instruction, but its checkpoint does not say by which text encoder.',
                "Give its features with text=dict(instruction=...) in Python.")
        return language

    def _checked(self, name: str, text: np.ndarray, origin: str) -> Float[np.ndarray, 'token dim']:
        """Check the features of one text, of which `origin` tells the user."""
        if text.ndim != 2 or text.shape[1] != self.dims[name]:
            raise DataError(f'The model reads {name} features (token, {self.dims[name]}), but got {text.shape}.',
                            'Use features of the encoder it was trained with.')
        return require_finite(text.astype(np.float32), origin, 'Give other features, or make them again.')

    def _stored(self, name: str, pair: Pair) -> Float[np.ndarray, 'token dim']:
        """Read the features of one text from the text store."""
        try:
            return text_sources({name: self.source[name]}, self.language or self._readable, '.')[name].load(pair)
        except VLFusionError as error:
            if self.language is None:  # the text is missing because images may not be described
                raise self._language_error from error
            raise


def check_instruction(sentence: str, dims: Mapping[str, int]) -> None:
    """Raise ConfigError if an instruction is blank, or if a model that reads texts of these names reads none."""
    if INSTRUCTION not in dims:
        names = [name for name, entry in find_models().items() if 'instruction_dim' in entry.arguments]
        raise ConfigError(f'An instruction was given, but the model reads {", ".join(dims) or "no text"}.',
                          f'Leave the instruction out, or use {" or ".join(names) or "a model that reads one"}.')
    if not isinstance(sentence, str) or not sentence.strip():
        raise ConfigError(f'The instruction is {sentence!r}.',
                          "Write a sentence, such as 'Show the PET more strongly.', or leave the instruction out.")


def names_thing(sentence: str, thing: str) -> bool:
    """Tell whether a sentence names a thing.

    >>> names_thing('Show the people on the left more clearly.', 'a person'), names_thing('Show the PET.', 'car')
    (True, False)
    >>> names_thing('Brighten the buses.', 'bus'), names_thing('Sharpen the glass.', 'gas')
    (True, False)
    """
    words, parts = (re.findall(r'\w+', text.casefold()) for text in (sentence, thing))
    words, parts = ([word for word in text if word not in ('a', 'an', 'the')] for text in (words, parts))
    starts = range(len(words) - len(parts) + 1) if parts else ()
    return any(all(map(_same_noun, words[start:], parts)) for start in starts)


def _same_noun(word: str, other: str) -> bool:
    """Tell whether two words are equal, or one is the plural of the other."""
    irregular = {'people': 'person', 'men': 'man', 'women': 'woman', 'children': 'child'}
    word, other = irregular.get(word, word), irregular.get(other, other)
    shorter, longer = sorted((word, other), key=len)
    return longer in (shorter, f'{shorter}s', f'{shorter}es', re.sub('y$', 'ies', shorter))


def make_words(language: Mapping, sources: Mapping[str, Mapping], pairs: Sequence[Pair],
               pipeline: 'Callable[[], DescriptionPipeline] | None' = None,
               progress: Progress | None = None, root: str | os.PathLike = '.') -> 'Report | None':
    """Fill the text store with the texts that it does not have yet.

    Args:
        language: the `language` section by which images are described.
        sources: sources of the texts by name, as `text_configs` returns them; features in files are not made.
        pairs: pairs to describe.
        pipeline: function that gives the pipeline of the section; by default a new one is built if images need a
            description.
        progress: called as images are described.
        root: folder that texts in files are relative to.

    Returns:
        The report on the images; None if no image needs a description.
    """
    from vlfusion.language.pipeline import DescriptionPipeline
    given = {name: entry for name, entry in sources.items() if entry.keys() & {'fixed', 'texts'}}
    encode_given(text_sources(given, language, root).values(), pairs)
    if not any('stream' in source for source in sources.values()):
        return None
    pipeline = pipeline() if pipeline else DescriptionPipeline(language)
    return pipeline.run(pipeline.subjects(pairs), progress)
