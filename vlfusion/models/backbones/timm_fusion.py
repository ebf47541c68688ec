"""A fusion network of a timm encoder and a small decoder: a baseline that can use any recent image encoder."""

from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from vlfusion.errors import ConfigError, did_you_mean, needs
from vlfusion.registry import BACKBONES

#: Rules that merge the features of both sources, by name.
RULES = {'max': torch.maximum, 'mean': lambda a, b: (a + b) / 2, 'sum': torch.add}


@BACKBONES.register_module()
class TimmFusion(nn.Module):
    """Encode both sources with one encoder, merge the features of each scale by a rule, decode from coarse to fine.

    The encoder is a timm model that returns feature maps, such as ResNet, ConvNeXt or MobileNet. Transformers need
    options: `dict(dynamic_img_size=True)` for ViT, `dict(strict_img_size=False, feature_cls='getter')` for Swin.
    Without them they accept images of one size only, or none.

    The features of both sources are merged as in IFCNN (Zhang et al., Information Fusion 2020). The decoder is a
    feature pyramid (Lin et al., CVPR 2017): each scale is projected to `dim` channels and added to the enlarged coarser
    scale. Then the last convolutions read the finest scale and both sources. Only they depend on the order of the
    sources. Images are padded at the bottom right to a multiple of the coarsest stride.

    Args:
        encoder: name of a timm model, see `timm.list_models()`.
        pretrained: True to start training from published weights; timm sums the first convolution over the colours.
        rule: `max`, `mean` or `sum`.
        dim: channels of the decoder.
        options: further arguments of `timm.create_model`, such as `{'out_indices': (0, 1, 2)}`.

    >>> TimmFusion('resnet10t')(torch.rand(2, 1, 40, 50), torch.rand(2, 1, 40, 50)).shape
    torch.Size([2, 1, 40, 50])

    Raises:
        ConfigError: timm is not installed, does not have the model, or the model returns no feature maps.
    """

    training_only = ('pretrained',)

    def __init__(self, encoder: str = 'resnet18', pretrained: bool = False, rule: str = 'max', dim: int = 32,
                 options: Mapping | None = None):
        super().__init__()
        if rule not in RULES:
            raise ConfigError(f'TimmFusion has no rule {rule!r}.', did_you_mean(str(rule), RULES))
        with needs('TimmFusion', 'timm', 'vision'):
            import timm
        self.pretrained = pretrained
        # Checkpoints hold all weights and must load offline, so only `init_weights` fetches the published ones.
        self._create = partial(timm.create_model, encoder, features_only=True, in_chans=1, **(options or {}))
        try:
            self.encoder = self._create(pretrained=False)
        except Exception as error:  # unknown models and models without feature maps raise many kinds of errors
            raise ConfigError(f'timm cannot make feature maps with {encoder!r}: {error}',
                              'Choose a model from timm.list_models() that returns feature maps.') from error
        self.merge = RULES[rule]
        self.stride = max(self.encoder.feature_info.reduction())
        self.lateral = nn.ModuleList(nn.Conv2d(channels, dim, 1) for channels in self.encoder.feature_info.channels())
        self.smooth = nn.ModuleList(ConvModule(dim, dim, 3, padding=1) for _ in self.lateral)
        self.restore = nn.Sequential(ConvModule(dim + 2, dim, 3, padding=1), nn.Conv2d(dim, 1, 3, padding=1),
                                     nn.Sigmoid())

    def init_weights(self) -> None:
        """Load the encoder's published weights if `pretrained` is set. The runner calls this once before training.

        Raises:
            ConfigError: the weights cannot be loaded.
        """
        if not self.pretrained:
            return
        try:
            self.encoder.load_state_dict(self._create(pretrained=True).state_dict())
        except Exception as error:  # missing weights and an unreachable hub raise many kinds of errors
            raise ConfigError(f'The published weights of the encoder cannot be loaded: {error}',
                              'Check the connection to the hub, or set pretrained=False.') from error

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene. The text is ignored.

        Args:
            source_a, source_b: luminance in [0, 1].
            text, text_mask: not used.

        Returns:
            The fused luminance, in [0, 1].
        """
        height, width = source_a.shape[-2:]
        beyond = (0, -width % self.stride, 0, -height % self.stride)
        sources = [F.pad(source, beyond, mode='replicate') for source in (source_a, source_b)]
        features = [self.merge(a, b) for a, b in zip(*map(self.encoder, sources), strict=True)]
        coarser = None
        for feature, lateral, smooth in zip(*map(reversed, (features, self.lateral, self.smooth)), strict=True):
            merged = lateral(feature)
            if coarser is not None:
                merged = merged + F.interpolate(coarser, size=merged.shape[-2:], mode='bilinear')
            coarser = smooth(merged)
        finest = F.interpolate(coarser, size=sources[0].shape[-2:], mode='bilinear')
        return self.restore(torch.cat([finest, *sources], 1))[..., :height, :width]
