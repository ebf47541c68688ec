"""Does the text do anything? How far another instruction moves the fused image, and whether to the better."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.data.dataset import numpy_seed
from vlfusion_textif.degradations import DEGRADATIONS

#: Name of each column of `text_effect`, and what it is.
COLUMNS = {
    'other': "mean |F(own instruction) - F(that of `none`)| in grey levels",
    'paraphrase': "mean |F(own instruction) - F(the next sentence about the same degradation)|",
    'error': "mean |F(own instruction) - max(A, B)|, A and B the clean sources",
    'error_none': "the same, told that nothing is wrong",
    'error_wrong': "the same, told of another degradation, on average over those"}


@torch.no_grad()
def text_effect(network: nn.Module, pairs: Sequence[tuple[Tensor, Tensor]],
                features: Mapping[str, Sequence[Float[np.ndarray, '_ dim']]],
                seed: int = 0) -> dict[str, dict[str, float]]:
    """Fuse each pair under each degradation with the right and with wrong instructions.

    Args:
        network: a backbone in evaluation mode.
        pairs: clean sources A and B, each `(1, h, w)` in [0, 1].
        features: of the sentences about each degradation, as `read_instructions` gives them.
        seed: of the degradations: every network sees the same.

    Returns:
        For each degradation, the columns of `COLUMNS` in grey levels 0..255, means over all pixels and pairs.
    """
    table = {}
    for kind, (source, damage) in DEGRADATIONS.items():
        rows = {other: features[other][0] for other in DEGRADATIONS}
        rows['paraphrase'] = features[kind][1 % len(features[kind])]
        sums = {name: 0.0 for name in COLUMNS}
        for index, (a, b) in enumerate(pairs):
            images = {'a': a, 'b': b}
            with numpy_seed(seed + index):
                damaged = damage(images[source][0].numpy()).clip(0, 1).astype(np.float32)
            seen = images | {source: torch.from_numpy(damaged)[None]}
            fused = {name: network(seen['a'][None], seen['b'][None], text=torch.from_numpy(row)[None])[0]
                     for name, row in rows.items()}
            best, own = torch.maximum(a, b), fused[kind]
            wrong = [_apart(fused[name], best) for name in DEGRADATIONS if name not in (kind, 'none')]
            values = (_apart(own, fused['none']), _apart(own, fused['paraphrase']), _apart(own, best),
                      _apart(fused['none'], best), sum(wrong) / len(wrong))
            sums = {name: sums[name] + value / len(pairs) for name, value in zip(COLUMNS, values, strict=True)}
        table[kind] = sums
    return table


def _apart(x: Tensor, y: Tensor) -> float:
    return 255 * (x - y).abs().mean().item()
