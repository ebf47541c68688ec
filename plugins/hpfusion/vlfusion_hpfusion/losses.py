"""The term of HPFusion (Yang et al., ICASSP 2025) that vlfusion does not have."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import DataError
from vlfusion.language.interfaces import Captioner
from vlfusion.losses import Image, Scalar
from vlfusion.losses.clip import FrozenCLIP
from vlfusion.registry import CAPTIONERS, LOSSES


@LOSSES.register_module()
class PerceptionLoss(nn.Module):
    """`mean |P(F) - P(A)| + mean |P(F) - P(B)|`: answers about the fused image shall fit it as those about a source do.

    `P` is a matrix (image, image) for a batch: CLIP's softmax over the answers about all images, for each image, in the
    mean over the questions. At each step the captioners look at the fused images, stretched to the batch's minimum and
    maximum. No gradient passes through the words, only through CLIP's view of the fused images. For a batch of one
    image `P` is 1 and the loss 0.

    Nothing is loaded before the first use, so a weight of 0, the released one, costs nothing.

    Args:
        captioners: configs of captioners, one for each question, in the order of the answers in `text_a` and `text_b`.
        weight: factor in the total.
        model, pretrained: the CLIP that encoded `text_a` and `text_b`, as in `OpenCLIPTextEncoder`.

    Raises:
        ConfigError: CLIP or a captioner cannot be loaded.
        DataError: `text_a` or `text_b` has another number of answers than there are captioners, or an answer is longer
            than CLIP can read.
    """

    def __init__(self, captioners: Sequence[dict], weight: float = 0.0, model: str = 'RN50-quickgelu',
                 pretrained: str | None = 'openai'):
        super().__init__()
        self.weight, self.configs = weight, list(captioners)
        self.clip = FrozenCLIP(model=model, pretrained=pretrained)

    def forward(self, fused: Image, source_a: Image, source_b: Image, text_a: Float[Tensor, 'batch _ dim'],
                text_b: Float[Tensor, 'batch _ dim']) -> Scalar:
        for name, text in (('text_a', text_a), ('text_b', text_b)):
            if text.shape[1] != len(self.configs):
                raise DataError(f'PerceptionLoss has {len(self.configs)} captioners, but `{name}` has {text.shape[1]} '
                                'answers.', 'Give a captioner for each question of the prompt.')
        fused = (fused - fused.min()) / (fused.max() - fused.min()).clamp_min(1e-6)
        about_fused = self._fit(fused, self.answers(fused.detach()))
        return sum(F.l1_loss(about_fused, self._fit(source, F.normalize(text, dim=-1)))
                   for source, text in ((source_a, text_a), (source_b, text_b)))

    @cached_property
    def captioners(self) -> list[Captioner]:
        return [CAPTIONERS.build(config) for config in self.configs]

    def answers(self, images: Image) -> Float[Tensor, 'batch answer dim']:
        """Ask each captioner about images in [0, 1], and return CLIP's vectors of their answers, of norm 1."""
        levels = (images[:, 0] * 255).round().to(torch.uint8).cpu().numpy()
        scenes = [(np.ascontiguousarray(image),) for image in levels]
        words = [[' '.join(seen.text for seen in _known(answer)) for answer in captioner.observe(scenes, ('fused',))]
                 for captioner in self.captioners]  # for each question, an answer about each image
        return torch.stack([self.clip.embed(of_question, images.device) for of_question in words], 1)

    def _fit(self, images: Image, texts: Float[Tensor, 'batch answer dim']) -> Float[Tensor, 'batch batch']:
        """Return for each image the shares of all images' answers in CLIP's softmax, in the mean over the questions."""
        seen = self.clip.images([images])  # (batch, dim)
        scale = self.clip.network(images.device).logit_scale.exp()
        return (scale * torch.einsum('id,jqd->qij', seen, texts)).softmax(-1).mean(0)


def _known(answer: list | Exception) -> list:
    if isinstance(answer, Exception):
        raise answer
    return answer
