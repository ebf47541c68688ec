"""The terms of DTPF (Zhang et al., IEEE TCSVT 2025) that vlfusion lacks."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.losses import Image, Scalar, loss


@loss
def ConsistencyLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """`(mean |F - A| + mean |F - B|) / 2`: each pixel between the sources."""
    return (F.l1_loss(fused, source_a) + F.l1_loss(fused, source_b)) / 2


def feature_distance(student: Sequence[Tensor], teacher: Sequence[Tensor],
                     adapters: nn.ModuleList | Sequence[nn.Module]) -> Float[Tensor, '']:
    """Sum the smooth L1 distances of two decoders' features over their scales.

    At each pixel both have a norm of 1.

    Args:
        student: features of each scale, `(batch, narrow, h, w)`.
        teacher: features of each scale, `(batch, wide, h, w)`.
        adapters: for each scale, a map from the teacher's to the student's channels.
    """
    return sum(F.smooth_l1_loss(F.normalize(narrow, dim=1), F.normalize(adapter(wide), dim=1))
               for narrow, wide, adapter in zip(student, teacher, adapters, strict=True))
