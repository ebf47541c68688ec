"""AutoFuse's loss in CLIP's space: away from the words for what is wrong with a pair, towards their opposites."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.errors import DataError
from vlfusion.losses.clip import FrozenCLIP
from vlfusion.registry import LOSSES
from vlfusion_ldfusion.directional import direction_loss, is_rich
from vlfusion_ldfusion.distortion import Distortion, RandomPatches


@LOSSES.register_module()
class ContrastiveDirectionalLoss(nn.Module):
    """AutoFuse's loss `g C(F) + p C(patches of F)` with four texts: two for all pairs and two for each pair.

    `C` sums `exp(d_a + d_b) - 1` over the texts and averages over images. For a text about the desired image, `d_s` is
    half of LDFusion's `direction_loss` from source `s`, in [0, 1]. For its opposite, an antonym, it is one less that
    half, so the fused image moves away from the antonym. A patch does not count for a source where that source's own
    patch has too little entropy.

    CLIP is loaded at the first call and never trained. It is not part of the model's parameters or checkpoints. A
    trained model fuses without CLIP and without text.

    Args:
        weight: factor in the total.
        prompt, antonym: text about the desired fused image, and one about its opposite.
        prompt_a, prompt_b: sentences about source A and about source B.
        model, pretrained: name of an open_clip model and of its weights, as in `OpenCLIPTextEncoder`.
        global_weight: `g`; the released code uses 2.
        patch_weight: `p`; the released code uses 20.
        own_weight: factor of the two texts of each pair; the released code uses 1.
        patches: number of patches of each image, at random places; the released code uses 32.
        patch_side: smallest and largest side of a patch, as fractions of the image's shorter side. The released code
            cuts 48 to 80 pixels of 336.
        least_entropy: smallest entropy of a source's patch, in bits.

    Raises:
        ConfigError: `patch_weight` is set without patches, or `patch_side` is not a range in (0, 1]. At the first call:
            open_clip or the weights are missing.
        DataError: at the first call, a sentence is longer than CLIP can read.
    """

    def __init__(self, weight: float = 1.0, *, prompt: str = 'sharp, distinct objects, fine detail',
                 antonym: str = 'blurred, faint objects, little detail', prompt_a: str = 'an infrared image',
                 prompt_b: str = 'a grey visible image', model: str = 'ViT-B-32-quickgelu',
                 pretrained: str | None = 'openai', global_weight: float = 2.0, patch_weight: float = 20.0,
                 own_weight: float = 1.0, patches: int = 32, patch_side: Sequence[float] = (48 / 336, 80 / 336),
                 least_entropy: float = 5.9):
        super().__init__()
        self.weight = weight
        self.clip = FrozenCLIP([prompt, antonym, prompt_a, prompt_b], model, pretrained, antialias=False)
        self.global_weight, self.patch_weight, self.own_weight = global_weight, patch_weight, own_weight
        distortion = Distortion(turn=3, shift=(0, 0), zoom=(1, 1), shear=(3, 3))
        self.patches = RandomPatches(patches, tuple(patch_side), distortion) if patch_weight else None
        self.least_entropy = least_entropy

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w'], text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, '']:
        """Compute the loss.

        Args:
            fused, source_a, source_b: luminance in [0, 1].
            text: CLIP's embeddings of each pair's own two texts, the desired qualities and then the present faults, as
                the prompt `degradations` asks for them. Without it, `prompt` and `antonym` count twice, as in the
                released code.
            text_mask: True for a real text.

        Raises:
            DataError: a pair has not exactly two texts, or their width is not that of this CLIP model.
        """
        prompt, antonym, *source_prompts = self.clip.texts(fused.device).split(1)
        wanted, unwanted = self._own(text, text_mask, prompt, antonym)
        with torch.no_grad():
            sources = [self.clip.images([source]) for source in (source_a, source_b)]
        texts = ((prompt, 1, 1), (antonym, -1, 1), (wanted, 1, self.own_weight), (unwanted, -1, self.own_weight))

        def contrast(embedded: Tensor, counts: Sequence[Tensor | float]) -> Tensor:
            """Compute `C` of embeddings of fused images, where each source counts as given."""
            copies = len(embedded) // len(fused)
            total = 0
            for vector, sign, factor in texts:
                vector = vector.repeat(copies, 1) if len(vector) > 1 else vector
                halves = 0
                for source, source_prompt, count in zip(sources, source_prompts, counts, strict=True):
                    against = direction_loss(embedded, source.repeat(copies, 1), vector, source_prompt) / 2
                    halves = halves + count * (against if sign > 0 else 1 - against)
                total = total + factor * halves.expm1().mean()
            return total

        total = self.global_weight * contrast(self.clip.images([fused]), (1, 1))
        if self.patches:
            patches = self.patches.cut(torch.cat((fused, source_a, source_b), 1), self.clip.size(fused.device))
            rich = [is_rich(patches[:, index], self.least_entropy) for index in (1, 2)]
            total = total + self.patch_weight * contrast(self.clip.images([patches[:, :1]]), rich)
        return total

    def _own(self, text: Tensor | None, mask: Tensor | None, prompt: Tensor,
             antonym: Tensor) -> tuple[Float[Tensor, '_ dim'], Float[Tensor, '_ dim']]:
        """Return the embeddings of each pair's own two texts, of norm 1."""
        if text is None:
            return prompt, antonym
        dim = prompt.shape[-1]
        if text.shape[1:] != (2, dim) or mask is not None and not mask.all():
            raise DataError(f'ContrastiveDirectionalLoss needs two embeddings of width {dim} of every pair, wanted and '
                            f'unwanted qualities, but the texts have the shape {tuple(text.shape)}.',
                            "Describe the pairs with the prompt 'degradations', and encode with the CLIP model of the "
                            "loss and output='pooled'.")
        return F.normalize(text, dim=-1).unbind(1)
