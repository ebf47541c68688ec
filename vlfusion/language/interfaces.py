"""Interfaces of the language stage: what passes between its parts, and what each has to offer.

Every part has a `version`: a class attribute that enters the identity of what it makes. Change it whenever the same
config would make something else, and the text store makes those records again.

A part may also have a static method `self_contained(config) -> bool`: true if, built from this config, it needs nothing
but this process and installed packages, so no network, no key, no file and no model from a hub. A checkpoint may have
images described by such parts alone, see `vlfusion.engine.trust`. A part without the method is not one, and a class
does not inherit the claim.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from vlfusion.errors import DataError

#: An image as `vlfusion.imaging.images.read_image` returns it; images of one list may differ in size and in colour.
Image = Shaped[np.ndarray, '_ _ ...']


@dataclass(frozen=True)
class Observation:
    """One thing that a captioner saw in an image.

    Attributes:
        text: a sentence or a phrase.
        box: where it lies, `(x0, y0, x1, y1)` as fractions of width and height from the upper left; None for the image.
        area: the fraction of the image it covers, where that is known; at most that of the box.
        score: the captioner's confidence in [0, 1], where it has one.
        modality: in a prompt about a pair, the name of the image that it is about, such as `infrared`; None for both,
            and in a prompt about one image.

    Raises:
        DataError: the text is empty or the box is not within the image.
    """

    text: str
    box: tuple[float, float, float, float] | None = None
    area: float | None = None
    score: float | None = None
    modality: str | None = None

    def __post_init__(self):
        if not self.text.strip():
            raise DataError('An observation has no text.', 'A captioner that sees nothing returns an empty list.')
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
                raise DataError(f'The box {self.box} of the observation {self.text!r} is not within the image.',
                                'Give (x0, y0, x1, y1) as fractions of the image with x0 < x1 and y0 < y1.')


@dataclass(frozen=True)
class Prompt:
    """Question to an LLM about one image or one pair.

    Attributes:
        text: the rendered prompt.
        observations: what it was rendered from.
        modality: what kind of image it is about; of a pair both, such as `infrared and visible`.
        schema: the JSON schema that the answer has to fit; None for prose. An LLM may show it to its model; the
            pipeline checks each answer and asks once more where it does not fit.
    """

    text: str
    observations: tuple[Observation, ...]
    modality: str
    schema: Mapping | None = None


@dataclass(frozen=True)
class Completion:
    """Answer of an LLM to one prompt.

    Attributes:
        text: the paragraph.
        model: the model that answered, as it names itself.
        prompt_tokens: tokens read; None where the model does not count them.
        completion_tokens: tokens written; likewise.
        finish_reason: `stop` where the model came to its own end, `length` where a limit cut it.
        seconds: how long it took.
        cost: in US dollars; None where unknown.
    """

    text: str
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    finish_reason: str
    seconds: float
    cost: float | None


@dataclass(frozen=True)
class TextFeatures:
    """Token features of several texts, padded to the longest; a padded row is zero and its mask False."""

    features: Float[Tensor, 'batch token dim']
    mask: Bool[Tensor, 'batch token']


@runtime_checkable
class Captioner(Protocol):
    """Registered in `CAPTIONERS`.

    Attributes:
        images: how many images it sees at once: 1, or 2 for both sources of a pair, which needs a prompt about pairs.
    """

    version: str
    images: int

    def observe(self, scenes: Sequence[tuple[Image, ...]],
                modalities: tuple[str, ...]) -> list[list[Observation] | Exception]:
        """Observations of each scene, in order. A scene that failed may have its error instead; the others count.

        Args:
            scenes: tuples of `images` images; of a pair source A comes first.
            modalities: the modality of each image of a scene, such as `('infrared', 'visible')`; the same for all
                scenes. Empty where nobody said.
        """


@runtime_checkable
class LLM(Protocol):
    """Registered in `LLMS`."""

    version: str

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """One completion per prompt, in order."""


@runtime_checkable
class StreamingLLM(LLM, Protocol):
    """An LLM that works on several prompts at once, and is not asked again where only a neighbour failed."""

    def stream(self, prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion | Exception]]:
        """The index of each prompt with its completion, or with what went wrong, as soon as it is known.

        Prompts are taken one by one, no more than are in flight, so that a stop is a prompt that never comes.
        """


@runtime_checkable
class TextEncoder(Protocol):
    """Registered in `TEXT_ENCODERS`."""

    version: str
    dim: int

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """The token features of each text, never cut."""
