"""A fusion network of a timm encoder and a small decoder: a baseline that follows the state of image encoders."""

from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from vlfusion.errors import ConfigError, did_you_mean, needs
from vlfusion.registry import BACKBONES

#: How the features of the sources become one, by name.
RULES = {'max': torch.maximum, 'mean': lambda a, b: (a + b) / 2, 'sum': torch.add}


@BACKBONES.register_module()
class TimmFusion(nn.Module):
    """Both sources through one encoder, the features of each scale merged by a rule, and decoded from coarse to fine.

    The encoder is a model of timm that gives feature maps: convolutional pyramids (ResNet, ConvNeXt, MobileNet ...),
    and with their options transformers: `dict(dynamic_img_size=True)` for ViT, `dict(strict_img_size=False,
    feature_cls='getter')` for Swin, which without them take images of one size or none. The decoder is a feature
    pyramid (Lin et al., CVPR 2017): each scale is brought to `dim` channels and added to the coarser one, enlarged; the
    finest meets both sources in a last convolution. The features are merged as IFCNN does (Zhang et al., Information
    Fusion 2020), so that the order of the sources matters only in that last convolution. Images are padded at the lower
    right to a multiple of the coarsest scale.

    Args:
        encoder: the name of a timm model, see `timm.list_models()`.
        pretrained: whether training starts from its published weights; timm sums its first convolution over colours.
        rule: `max`, `mean` or `sum`.
        dim: channels of the decoder.
        options: further arguments of `timm.create_model`, such as `{'out_indices': (0, 1, 2)}`.

    >>> TimmFusion('resnet10t')(torch.rand(2, 1, 40, 50), torch.rand(2, 1, 40, 50)).shape
    torch.Size([2, 1, 40, 50])

    Raises:
        ConfigError: timm is not installed, or has no such model, or the model gives no feature maps.
    """

    training_only = ('pretrained',)

    def __init__(self, encoder: str = 'resnet18', pretrained: bool = False, rule: str = 'max', dim: int = 32,
                 options: Mapping | None = None):
        super().__init__()
        if rule not in RULES:
            raise ConfigError(f'TimmFusion merges features by no rule {rule!r}.', did_you_mean(str(rule), RULES))
        with needs('TimmFusion', 'timm', 'vision'):
            import timm
        self.pretrained = pretrained
        # A checkpoint holds the weights, and must load without the hub: published ones come by `init_weights`.
        self._create = partial(timm.create_model, encoder, features_only=True, in_chans=1, **(options or {}))
        try:
            self.encoder = self._create(pretrained=False)
        except Exception as error:  # an unknown name and one without feature maps fail variously
            raise ConfigError(f'timm makes no feature maps of {encoder!r}: {error}',
                              'timm.list_models() names the models.') from error
        self.merge = RULES[rule]
        self.stride = max(self.encoder.feature_info.reduction())
        self.lateral = nn.ModuleList(nn.Conv2d(channels, dim, 1) for channels in self.encoder.feature_info.channels())
        self.smooth = nn.ModuleList(ConvModule(dim, dim, 3, padding=1) for _ in self.lateral)
        self.restore = nn.Sequential(ConvModule(dim + 2, dim, 3, padding=1), nn.Conv2d(dim, 1, 3, padding=1),
                                     nn.Sigmoid())

    def init_weights(self) -> None:
        """Load the encoder's published weights, if wanted; the runner calls this once, before it trains.

        Raises:
            ConfigError: they cannot be had.
        """
        if not self.pretrained:
            return
        try:
            self.encoder.load_state_dict(self._create(pretrained=True).state_dict())
        except Exception as error:  # a model without any and a hub out of reach fail variously
            raise ConfigError(f'The published weights of the encoder cannot be loaded: {error}',
                              'They come from the hub; or set pretrained=False.') from error

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene; the text is not read.

        Args:
            source_a, source_b: luminance in [0, 1].
            text, text_mask: of no effect.

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
