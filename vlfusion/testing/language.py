"""Checks of captioners, LLMs and text encoders."""

import numpy as np
import torch

from vlfusion.language.former import up_to_date
from vlfusion.language.interfaces import LLM, Completion, Image, Observation, Prompt, TextEncoder

TEXTS = ('A bright road leads to a dark house.', 'Fog.',
         'Two people stand beside a parked car in the lower left, and trees cover the hill behind them.')


def check_captioner(captioner: object, modalities: tuple[str, str] = ('infrared', 'visible')) -> None:
    """Check that a captioner describes images identically one by one and together, the first time and the second.

    The images have several sizes, in grey and in colour. A captioner of pairs gets pairs. A captioner with a former
    interface passes too, with a DeprecationWarning.

    Raises:
        AssertionError: a check failed; the message says which.
    """
    _check_version(captioner)
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, shape, dtype=np.uint8) for shape in ((40, 48), (32, 64, 3), (48, 40))]
    captioner = up_to_date(captioner)

    def observe(images: list[Image]) -> list:
        scenes = [(image,) * captioner.images for image in images]
        return captioner.observe(scenes, modalities[:captioner.images])

    together = observe(images)
    assert len(together) == len(images), f'{len(together)} lists of observations for {len(images)} images.'
    errors = [observations for observations in together if isinstance(observations, Exception)]
    assert not errors, f'An image cannot be described: {errors[0]}'
    wrong = [item for observations in together for item in observations if not isinstance(item, Observation)]
    assert not wrong, f'Expected observations of type vlfusion.language.interfaces.Observation, got {wrong[0]!r}.'
    assert observe(images) == together, 'The same images are described differently the second time.'
    singly = [observations for image in images for observations in observe([image])]
    assert singly == together, 'An image is described differently alone and among others.'
    assert observe([]) == [], 'Without images, observe must return an empty list.'


def check_llm(llm: LLM) -> None:
    """Check that an LLM returns a completion with text for each prompt, in order, and an empty list for no prompts.

    Raises:
        AssertionError: a check failed; the message says which.
    """
    _check_version(llm)
    prompts = [Prompt(f'Say in one sentence what is seen: {text}', (Observation(text),), 'visible') for text in TEXTS]
    answers = llm.complete(prompts)
    assert len(answers) == len(prompts), f'{len(answers)} completions for {len(prompts)} prompts.'
    for answer in answers:
        assert isinstance(answer, Completion), f'Expected a vlfusion.language.interfaces.Completion, got {answer!r}.'
        assert answer.text.strip(), 'A completion has no text.'
        assert answer.model, 'A completion does not say which model wrote it.'
    assert llm.complete([]) == [], 'Without prompts, complete must return an empty list.'


def check_text_encoder(encoder: TextEncoder, tolerance: float = 1e-4) -> None:
    """Check that an encoder returns finite features `(batch, token, dim)` with a mask, and zeros where padded.

    A text must have the same features alone and among longer texts, the first time and the second. Different texts must
    have different features.

    Args:
        encoder: text encoder to check.
        tolerance: largest difference of a feature between alone and among longer texts.

    Raises:
        AssertionError: a check failed; the message says which.
    """
    _check_version(encoder)
    encoded = encoder.encode(TEXTS)
    features, mask = encoded.features, encoded.mask
    assert features.ndim == 3 and len(features) == len(TEXTS), \
        f'Expected features of shape ({len(TEXTS)}, token, dim), got {tuple(features.shape)}.'
    width = features.shape[2]
    assert width == encoder.dim, f'The features are {width} wide, but encoder.dim is {encoder.dim}.'
    assert mask.shape == features.shape[:2] and mask.dtype == torch.bool, \
        'The mask must be bool, one value for each token.'
    assert mask.any(1).all(), 'A text has no token.'
    assert features.isfinite().all() and not features[~mask].any(), \
        'Features must be finite, and zero where padded.'
    again = encoder.encode(TEXTS).features
    assert torch.equal(again, features), 'The same texts are encoded differently the second time.'
    for index, text in enumerate(TEXTS):
        alone = encoder.encode([text])
        single, among = alone.features[0, alone.mask[0]], features[index, mask[index]]
        assert single.shape == among.shape, f'{text!r} has {len(single)} tokens alone and {len(among)} among others.'
        error = (single - among).abs().max().item()
        assert error <= tolerance, \
            f'{text!r} differs by {error:.3g} between alone and among others; allowed is {tolerance:g}.'
    means = [features[index, mask[index]].mean(0) for index in range(len(TEXTS))]
    assert not torch.allclose(means[0], means[2]), 'Different texts have the same features.'


def _check_version(part: object) -> None:
    assert isinstance(getattr(part, 'version', None), str), \
        f"{type(part).__name__} has no version. Give the class an attribute version = '1'; the text store uses it to " \
        'tell records apart.'
