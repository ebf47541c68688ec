"""Training of LUT-Fuse: terms on the table itself, beside those on images."""

from collections.abc import Mapping

from jaxtyping import Float
from mmengine.optim import OptimWrapper
from torch import Tensor

from vlfusion.models.fusion_model import FusionModel
from vlfusion.registry import MODELS


def table_terms(table: Float[Tensor, 'size size size size']) -> tuple[Float[Tensor, ''], Float[Tensor, '']]:
    """Compute how rough a table is, and how much it falls where a level rises.

    The first is the mean square of the differences between neighbours, the second the mean of the drops; each is added
    up over the four dimensions. Differences at both ends of a dimension count twice in the first.

    >>> import torch
    >>> rising = torch.arange(3.).expand(3, 3, 3, 3)
    >>> table_terms(rising), table_terms(-rising)[1]
    ((tensor(2.), tensor(0.)), tensor(1.))
    """
    rough = falls = table.new_zeros(())
    for dimension in range(table.ndim):
        rise = table.diff(dim=dimension).movedim(dimension, 0)
        squares = rise.square()
        rough = rough + (squares.sum() + squares[0].sum() + squares[-1].sum()) / rise.numel()
        falls = falls + (-rise).relu().mean()
    return rough, falls


@MODELS.register_module()
class LUTFuseModel(FusionModel):
    """A `FusionModel` whose loss includes two terms on the table of its backbone, `LUTFuse`.

    Args:
        backbone, losses, data_preprocessor, init_cfg, margin: as for `FusionModel`.
        smoothness: weight of the mean square of differences between neighbours in the table.
        monotony: weight of the mean drop between neighbours.
        keep_gradients: whether gradients are never cleared, as in the released script, where that line is commented
            out. Then each step follows the sum of all gradients so far.
    """

    def __init__(self, *args, smoothness: float = 1e-4, monotony: float = 10., keep_gradients: bool = False, **options):
        super().__init__(*args, **options)
        self.smoothness, self.monotony, self.keep_gradients = smoothness, monotony, keep_gradients

    def forward(self, *args, mode: str = 'tensor', **inputs) -> Tensor | dict[str, Tensor] | list[dict]:
        """Fuse a batch, or compute its losses; see `FusionModel.forward`."""
        result = super().forward(*args, mode=mode, **inputs)
        if mode != 'loss':
            return result
        rough, falls = table_terms(self.backbone.table)
        return dict(result, loss=result['loss'] + self.smoothness * rough + self.monotony * falls,
                    table_roughness=rough.detach(), table_falls=falls.detach())

    def train_step(self, data: Mapping | tuple | list, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Take one step; see MMEngine's `BaseModel.train_step`."""
        if not self.keep_gradients:
            return super().train_step(data, optim_wrapper)
        with optim_wrapper.optim_context(self):
            losses = self._run_forward(self.data_preprocessor(data, True), mode='loss')
        total, log = self.parse_losses(losses)
        optim_wrapper.backward(total)
        optim_wrapper.step()
        return log
