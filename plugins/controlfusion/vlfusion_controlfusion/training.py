"""Training of ControlFusion (Tang et al., NeurIPS 2025): the network under texts, and the adapter towards them."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vlfusion.errors import ConfigError
from vlfusion.models import CleanTargetModel
from vlfusion.models.layers.modulation import pooled_text
from vlfusion.registry import MODELS
from vlfusion_controlfusion.degradations import DEGRADATIONS


@MODELS.register_module()
class ControlFusionModel(CleanTargetModel):
    """A `CleanTargetModel` that trains either the network, under texts, or the adapter, to predict their vectors.

    What is not trained stays as it is. The released code trains the network. It does not train an adapter: the mean
    squared error between prediction and text is a choice of this plugin.

    Args:
        train_adapter: True to train the adapter, False to train the network.
        options: arguments of `CleanTargetModel`.

    Raises:
        ConfigError: the adapter is to be trained, but the network has none.
    """

    degradations = DEGRADATIONS

    def __init__(self, train_adapter: bool = False, **options):
        super().__init__(**options)
        if train_adapter and self.backbone.adapter is None:
            raise ConfigError('The adapter is to be trained, but the network has none.',
                              "Set model.backbone.adapter='both'.")
        self.train_adapter = train_adapter
        for name, parameter in self.backbone.named_parameters():
            parameter.requires_grad_(name.startswith('adapter.') == train_adapter)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                mode: str = 'tensor', **sample) -> Float[Tensor, 'batch 1 h w'] | dict[str, Tensor] | list[dict]:
        """Run `CleanTargetModel.forward`; for the adapter, the mode `loss` compares its prediction with the text."""
        if mode != 'loss' or not self.train_adapter:
            return super().forward(source_a, source_b, mode=mode, **sample)
        text = pooled_text(self.backbone, sample.get('text'), sample.get('text_mask'), self.backbone.text_dim)
        distance = F.mse_loss(self.backbone.adapter(source_a, source_b).to(text), text)
        return dict(loss=distance, text_distance=distance.detach())
