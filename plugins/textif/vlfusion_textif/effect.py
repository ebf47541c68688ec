"""Measure the effect of the text: how far another instruction changes the fused image, and whether it improves."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.data.dataset import numpy_seed
from vlfusion.data.degrading import degrade
from vlfusion_textif.degradations import DEGRADATIONS

#: Columns of `text_effect`, with their meaning.
COLUMNS = {
    'other': "mean |F(own instruction) - F(instruction of `none`)| in grey levels",
    'paraphrase': "mean |F(own instruction) - F(the next sentence about the same degradation)|",
    'error': "mean |F(own instruction) - max(A, B)|, A and B the clean sources",
    'error_none': "the same with the instruction of `none`",
    'error_wrong': "the same with instructions of other degradations, on average"}


@torch.no_grad()
def text_effect(network: nn.Module, pairs: Sequence[tuple[Tensor, Tensor]],
                features: Mapping[str, Sequence[Float[np.ndarray, '_ dim']]],
                seed: int = 0) -> dict[str, dict[str, float]]:
    """Fuse each pair under each degradation, with the right instruction and with wrong ones.

    Args:
        network: backbone in evaluation mode.
        pairs: clean sources A and B, each `(1, h, w)` in [0, 1].
        features: features of the sentences about each degradation, from `read_instructions`.
        seed: seed of the degradations; with one seed, every network sees the same images.

    Returns:
        For each degradation, the columns of `COLUMNS` in grey levels 0..255, averaged over all pixels and pairs.
    """
    table = {}
    for kind, degradation in DEGRADATIONS.items():
        rows = {other: features[other][0] for other in DEGRADATIONS}
        rows['paraphrase'] = features[kind][1 % len(features[kind])]
        sums = {name: 0.0 for name in COLUMNS}
        for index, (a, b) in enumerate(pairs):
            with numpy_seed(seed + index):
                damaged = degrade(degradation, {'a': a[0].numpy(), 'b': b[0].numpy()})
            seen = [torch.from_numpy(damaged[source])[None, None] for source in 'ab']
            fused = {name: network(*seen, text=torch.from_numpy(row)[None])[0]
                     for name, row in rows.items()}
            best, own = torch.maximum(a, b), fused[kind]
            wrong = [_distance(fused[name], best) for name in DEGRADATIONS if name not in (kind, 'none')]
            values = (_distance(own, fused['none']), _distance(own, fused['paraphrase']), _distance(own, best),
                      _distance(fused['none'], best), sum(wrong) / len(wrong))
            sums = {name: sums[name] + value / len(pairs) for name, value in zip(COLUMNS, values, strict=True)}
        table[kind] = sums
    return table


def _distance(x: Tensor, y: Tensor) -> float:
    return 255 * (x - y).abs().mean().item()
