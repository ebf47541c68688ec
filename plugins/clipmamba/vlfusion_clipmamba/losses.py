"""The terms with which CLIP-Mamba is trained: structure, edges, and images compared with a sentence in CLIP's space.

The released script adds them up with the weights 10, 100 and 1. Its two terms on the distance to each source are only
logged.
"""

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.losses import Image, Scalar, derivative_kernels, loss, sobel_magnitude, ssim_map
from vlfusion.losses.clip import FrozenCLIP
from vlfusion.registry import LOSSES


@loss(weight=10.0)
def StructureLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """`1 - SSIM(F, max(A, B))`: structure of the brighter source at each pixel.

    As in the released code, SSIM takes the values to span 2 instead of 1 while one of the batch lies below -0.5, as the
    tanh of an untrained network may.

    Raises:
        DataError: an image is smaller than the window of 11x11.
    """
    data_range = 1 + (fused.detach().amin() < -0.5).to(fused.dtype)
    return 1 - ssim_map(fused, torch.maximum(source_a, source_b), data_range=data_range).mean()


@loss(weight=100.0)
def EdgeLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """Mean of `sqrt(e^2 + 1e-6)`, `e = G(F) - max(G(A), G(B))`: edges as strong as in the sharper source.

    `G = |S_x * I| + |S_y * I|` with Scharr's kernels (3, 10, 3).
    """
    kernels = derivative_kernels(fused, corner=3, middle=10)
    edges, edges_a, edges_b = (sobel_magnitude(image, kernels) for image in (fused, source_a, source_b))
    return (edges - torch.maximum(edges_a, edges_b)).square().add(1e-6).sqrt().mean()


@LOSSES.register_module()
class CLIPAlignmentLoss(nn.Module):
    """`mean |E(F) - E(A)|^2 + mean |E(F) - E(B)|^2 + 1 - mean sigmoid(<E(F), T>)`, in the space of CLIP.

    `E` embeds an image and `T` the sentence; the first two means are over images and components.

    By default this is the term of the released script, which has no gradient: the script computes `E(F)` where torch
    records none. So the published weights were trained without it, and the value is only worth logging. With
    `gradient=True` it trains. Then also set `normalise=True`: a sigmoid of the product of two long vectors is saturated
    and hardly passes a gradient.

    CLIP is loaded at the first call and is not part of the model's parameters or checkpoints. A trained model fuses
    without CLIP and without text.

    Args:
        weight: factor in the total.
        sentence: description of a good fused image.
        model: name of an open_clip model with an image and a text tower, as in `OpenCLIPTextEncoder`.
        pretrained: name of its weights, as in `OpenCLIPTextEncoder`.
        gradient: whether the fused image gets a gradient.
        normalise: whether images are prepared as in CLIP's training and all embeddings have norm 1. The released script
            only stretches images to CLIP's size.

    Raises:
        ConfigError: at the first call, open_clip or the weights are missing.
        DataError: at the first call, the sentence is longer than CLIP can read.
    """

    def __init__(self, weight: float = 1.0, *, sentence: str = 'a clear image with clearly defined anatomical '
                 'structures and distinct lesion features', model: str = 'ViT-B-32-quickgelu',
                 pretrained: str | None = 'openai', gradient: bool = False, normalise: bool = False):
        super().__init__()
        self.weight, self.gradient, self.normalise = weight, gradient, normalise
        self.clip = FrozenCLIP([sentence], model, pretrained)

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        [sentence] = self.clip.texts(fused.device, normalise=self.normalise)
        with torch.no_grad():
            embedded_a, embedded_b = self._embed(source_a), self._embed(source_b)
        with nullcontext() if self.gradient else torch.no_grad():
            embedded = self._embed(fused)
            distance = F.mse_loss(embedded, embedded_a) + F.mse_loss(embedded, embedded_b)
            return distance + 1 - (embedded @ sentence).sigmoid().mean()

    def _embed(self, image: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch dim']:
        if self.normalise:
            return self.clip.images([image])
        stretched = F.interpolate(image, self.clip.size(image.device), mode='bilinear', align_corners=True)
        return self.clip.network(image.device).encode_image(stretched.expand(-1, 3, -1, -1))
