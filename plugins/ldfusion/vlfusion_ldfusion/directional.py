"""LDFusion's language-driven loss for infrared-visible fusion, in the embedding space of CLIP.

Wang, Miao, Zhou, Zhang and Qiao, "Infrared and Visible Image Fusion with Language-driven Loss in CLIP Embedding Space",
ACM MM 2025, arXiv 2402.16267. One sentence describes a source, another the desired fused image. In CLIP's space, the
direction from source to fused image should be the direction from the first sentence to the second.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.losses.clip import FrozenCLIP
from vlfusion.metrics.histograms import entropy
from vlfusion.registry import LOSSES
from vlfusion_ldfusion.distortion import RandomPatches

#: Smallest distance of two embeddings that has a direction. It bounds the gradient where embeddings meet.
NEAREST = 1e-3


def direction_loss(fused: Float[Tensor, 'image dim'], source: Float[Tensor, 'image dim'],
                   prompt: Float[Tensor, '#image dim'], source_prompt: Float[Tensor, '1 dim']
                   ) -> Float[Tensor, ' image']:
    """Compute `1 - cos(E(F) - E(S), T(f) - T(s))` for each image: 0 along the direction of the text, 2 against it.

    >>> here, there = torch.tensor([[1., 0.]]), torch.tensor([[0., 1.]])
    >>> direction_loss(there, here, prompt=there, source_prompt=here).round(decimals=3)
    tensor([0.])
    >>> direction_loss(there, here, prompt=here, source_prompt=there).round(decimals=3)
    tensor([2.])

    Args:
        fused: embeddings of fused images, of norm 1.
        source: embeddings of the sources, of norm 1.
        prompt: embedding of the text about the fused image, of norm 1: one for all images, or one for each.
        source_prompt: embedding of the sentence about the source, of norm 1.
    """
    direction = F.normalize(fused - source, dim=-1, eps=NEAREST)
    return 1 - (direction * F.normalize(prompt - source_prompt, dim=-1)).sum(-1)


def is_rich(patches: Float[Tensor, 'image h w'], least_entropy: float) -> Bool[Tensor, ' image']:
    """Mark patches, in [0, 1], whose entropy in bits over 256 levels is large enough to be described."""
    return entropy((256 * patches.detach()[:, None]).floor().clamp(max=255)) > least_entropy


@LOSSES.register_module()
class CLIPDirectionalLoss(nn.Module):
    """LDFusion's loss `g D(F) + p D(patches of F) + s (1 - cos(E(F), E(S)))`, each term averaged over both sources `S`.

    `D` is `direction_loss`. A patch of the fused image is compared with the embedding of the whole source. It counts as
    0 if the same patch of either source has too little entropy to be described. Patches are turned, shifted, enlarged
    and sheared a little at random, which keeps CLIP from seeing letters in the texture.

    CLIP is loaded at the first call and never trained. It is not part of the model's parameters or checkpoints. A
    trained model fuses without CLIP and without text.

    Args:
        weight: factor in the total.
        prompt: sentence about the desired fused image.
        prompt_a: sentence about source A.
        prompt_b: sentence about source B.
        model: name of an open_clip model with an image and a text tower, as in `OpenCLIPTextEncoder`.
        pretrained: name of its weights, as in `OpenCLIPTextEncoder`.
        global_weight: `g`; the released code uses 2.
        patch_weight: `p`; the released code uses 10.
        similarity_weight: `s`, which keeps the fused image near the sources; the released code uses 6.
        patches: number of patches of each image, at random places; the released code uses 32.
        patch_side: smallest and largest side of a patch, as fractions of the image's shorter side.
        least_entropy: smallest entropy of a patch of either source, in bits.

    Raises:
        ConfigError: `patch_weight` is set without patches, or `patch_side` is not a range in (0, 1]. At the first call:
            open_clip or the weights are missing.
        DataError: at the first call, a sentence is longer than CLIP can read.
    """

    def __init__(self, weight: float = 1.0, *,
                 prompt: str = 'a sharp image with a detailed background and conspicuous objects',
                 prompt_a: str = 'an infrared image', prompt_b: str = 'a grey visible image',
                 model: str = 'ViT-B-32-quickgelu', pretrained: str | None = 'openai', global_weight: float = 2.0,
                 patch_weight: float = 10.0, similarity_weight: float = 6.0, patches: int = 32,
                 patch_side: Sequence[float] = (0.5, 0.8), least_entropy: float = 6.0):
        super().__init__()
        self.weight = weight
        self.clip = FrozenCLIP([prompt, prompt_a, prompt_b], model, pretrained, antialias=False)
        self.global_weight, self.patch_weight, self.similarity_weight = global_weight, patch_weight, similarity_weight
        self.patches = RandomPatches(patches, tuple(patch_side)) if patch_weight else None
        self.least_entropy = least_entropy

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        prompt, *source_prompts = self.clip.texts(fused.device).split(1)
        with torch.no_grad():
            sources = [self.clip.images([source]) for source in (source_a, source_b)]
        embedded_sources = list(zip(sources, source_prompts, strict=True))
        whole = self.clip.images([fused])
        total = self.global_weight * _mean([direction_loss(whole, source, prompt, source_prompt)
                                            for source, source_prompt in embedded_sources])
        total = total + self.similarity_weight * _mean([1 - (whole * source).sum(-1) for source in sources])
        if self.patches:
            patches = self.patches.cut(torch.cat((fused, source_a, source_b), 1), self.clip.size(fused.device))
            rich = is_rich(patches[:, 1], self.least_entropy) & is_rich(patches[:, 2], self.least_entropy)
            embedded = self.clip.images([patches[:, :1]])
            total = total + self.patch_weight * _mean(
                [rich * direction_loss(embedded, source.repeat(self.patches.count, 1), prompt, source_prompt)
                 for source, source_prompt in embedded_sources])
        return total


def _mean(losses: list[Float[Tensor, ' image']]) -> Float[Tensor, '']:
    return torch.stack(losses).mean()
