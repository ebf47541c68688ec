"""Interfaces of the language stage: its parts, and the data that pass between them.

Every part has a class attribute `version`, which enters the identity of its records. Change it whenever the same config
gives another result; the text store then makes those records again.

A part may also have a static method `self_contained(config) -> bool`. It returns True if a part built from this config
needs only this process and installed packages: no network, no key, no file and no model from a hub. A checkpoint may
run only self-contained parts to describe images, see `vlfusion.engine.trust`. A part without the method does not count
as self-contained, and a class does not inherit the method's claim.
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
    """Observation of a captioner: a sentence or a phrase about an image or a part of it.

    Attributes:
        text: a sentence or a phrase.
        box: the place, `(x0, y0, x1, y1)` as fractions of width and height from the upper left; None for the whole
            image.
        area: the covered fraction of the image, at most the area of the box; None if unknown.
        score: the captioner's confidence in [0, 1]; None if it has none.
        modality: in a prompt about a pair, the name of the described image, such as `infrared`; None for both images,
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
            raise DataError('An observation has no text.',
                            'Return an empty list from a captioner that sees nothing.')
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
        observations: the observations in the prompt.
        modality: the modality of the image, or both of a pair, such as `infrared and visible`.
        schema: the JSON schema of the answer; None for prose. An LLM may show it to its model. The pipeline checks
            each answer and asks once more if it does not fit.
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
        prompt_tokens: tokens read; None if unknown.
        completion_tokens: tokens written; None if unknown.
        finish_reason: `stop` if the model ended the answer, `length` if a limit cut it.
        seconds: the duration of the answer.
        cost: the cost in US dollars; None if unknown.
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
    """Token features of several texts, padded to the longest. A padded row is zero and its mask False."""

    features: Float[Tensor, 'batch token dim']
    mask: Bool[Tensor, 'batch token']


@runtime_checkable
class Captioner(Protocol):
    """Part that looks at images and makes observations. Registered in `CAPTIONERS`.

    Attributes:
        images: the number of images in a scene: 1, or 2 for both sources of a pair, which needs a prompt about pairs.
    """

    version: str
    images: int

    def observe(self, scenes: Sequence[tuple[Image, ...]],
                modalities: tuple[str, ...]) -> list[list[Observation] | Exception]:
        """Return the observations of each scene, in order, or the error of a scene that failed.

        Args:
            scenes: tuples of `images` images; source A of a pair comes first.
            modalities: the modality of each image of a scene, such as `('infrared', 'visible')`, the same for all
                scenes. A word is empty if the modality is unknown.
        """


PairCaptioner = Captioner  # former captioners of pairs, see `vlfusion.language.former`


@runtime_checkable
class LLM(Protocol):
    """Part that answers prompts. Registered in `LLMS`."""

    version: str

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Return one completion per prompt, in order."""


@runtime_checkable
class StreamingLLM(LLM, Protocol):
    """LLM that works on several prompts at once. If one prompt fails, the answers to the others stay valid."""

    def stream(self, prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion | Exception]]:
        """Yield the index of each prompt with its completion or its error, as soon as it is known.

        Take prompts one by one, and only as many as are in flight: a run is stopped by ending `prompts`.
        """


@runtime_checkable
class TextEncoder(Protocol):
    """Part that makes token features of texts. Registered in `TEXT_ENCODERS`."""

    version: str
    dim: int

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Return the token features of each whole text. Raise DataError for a text that is too long."""
