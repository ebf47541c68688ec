"""Rules by which autoencoders such as DenseFuse and DIDFuse merge the features of their sources."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

Maps = Float[Tensor, 'batch _ h w']
#: `mean`, `sum`, or `l1`: the mean with weights at each pixel from activity, which is the L1 norm over channels,
#: averaged over 3x3 pixels.
MERGING_RULES = ('mean', 'sum', 'l1')


def merge_features(sources: Iterable[Sequence[Maps]], rule: str) -> list[Maps]:
    """Merge the features of any number of sources, each of their maps by itself. Memory holds one source and the sums.

    >>> a, b, c = torch.tensor([1., 2., 6.]).view(3, 1, 1, 1, 1)
    >>> [merge_features([[a], [b], [c]], rule)[0].item() for rule in MERGING_RULES]
    [3.0, 9.0, 4.55...]

    Args:
        sources: one or more maps for each source, all of the same number, in the same order.
        rule: one of `MERGING_RULES`.
    """
    totals, weights = [], []
    for maps in sources:
        shares, terms = [1] * len(maps), list(maps)
        if rule == 'l1':
            shares = [_activity(features) for features in maps]
            terms = [share * features for share, features in zip(shares, maps, strict=True)]
        totals = [total + term for total, term in zip(totals, terms, strict=True)] if totals else terms
        weights = [weight + share for weight, share in zip(weights, shares, strict=True)] if weights else shares
    if rule == 'sum':
        return totals
    if rule == 'l1':  # without any activity all features are zero, and so is their mean
        weights = [torch.where(weight > 0, weight, 1) for weight in weights]
    return [total / weight for total, weight in zip(totals, weights, strict=True)]


def takes_stacks(rule: str) -> bool:
    """Tell whether a rule merges more than two sources in the range that the decoder was trained on.

    Means do. A sum of two is what the released decoders of some methods are used with; a sum of more is brighter the
    more there are.
    """
    return rule != 'sum'


def _activity(features: Maps) -> Float[Tensor, 'batch 1 h w']:
    return avg_pool2d(features.abs().sum(1, keepdim=True), 3, 1, 1)
