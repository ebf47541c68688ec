"""The loss of TextFusion (Cheng et al., Information Fusion 2025): what a sentence names decides how sources count."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pad

from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.engine.states import load_strictly
from vlfusion.errors import DataError
from vlfusion.losses import Image, Scalar, symmetric_kernel
from vlfusion.losses.perceptual import FrozenNetwork, vgg_stages
from vlfusion.models.layers.dense_encoder import RELEASED_ENCODER_PARTS, DenseEncoder
from vlfusion.models.released import convert
from vlfusion.registry import LOSSES
from vlfusion.zoo.places import original
from vlfusion.zoo.remote import RemoteFile, fetch

#: The last convolutions of VGG-19's five stages, in torchvision's numbering, before their ReLU.
TAPS = (2, 7, 16, 25, 34)
#: The weights of DenseFuse that the authors train with. They differ from those of DenseFuse's own repository.
DENSEFUSE = RemoteFile('AWCXV/TextFusion', 'f409874cce25e9aa3a21ccd1b957c3e7ff74b5f6', 'DenseFuse.model',
                       '77534477630778201669dbc285fff88eea7672ff', 303487)


@LOSSES.register_module()
class AssociationLoss(nn.Module):
    """`sum_s MSE(M w_s F, M w_s S) + sum_s v_s MSE(N F, N S)` over the sources `S`, averaged over the pairs.

    The association map `M` says which pixels belong to what the sentence names, and `N = 1 - M` is the rest. Within
    `M`, a source counts at each pixel by `w = softmax` of the sum of its DenseFuse features. Elsewhere it counts by
    `v = softmax(g / 4000)`, where `g` is the squared Laplacian of its VGG-19 features within `N`, a mean over stages.

    The released code trains on one pair at a time; here every pair has its own map and weights. The Laplacian of its
    features sums over all channels, and VGG sees images in [0, 1] without the usual normalisation; both are kept.

    Args:
        weight: factor in the total.
        pretrained: whether to fetch the published weights of VGG-19 and the authors' of DenseFuse. Without them the
            features are random: useful only in tests.

    Raises:
        ConfigError: torchvision is not installed, or its weights cannot be fetched.
        DownloadError: the weights of DenseFuse cannot be fetched.
    """

    def __init__(self, weight: float = 1.0, pretrained: bool = True):
        super().__init__()
        self.weight = weight
        self.vgg = FrozenNetwork(vgg_stages('AssociationLoss', 19, len(TAPS), 'IMAGENET1K_V1' if pretrained else None))
        self.densefuse = FrozenNetwork(_densefuse(pretrained))

    def forward(self, fused: Image, source_a: Image, source_b: Image, association: Image) -> Scalar:
        """Compute the loss of luminance in [0, 1], of at least 32x32 pixels, under association maps in [0, 1]."""
        if min(fused.shape[-2:]) < 32:  # VGG leaves 2x2 of it, which are reflected
            raise DataError(f'AssociationLoss needs images of at least 32x32, but got {tuple(fused.shape[-2:])}.',
                            'Use larger crops.')
        by_pixel = self.pixel_weights(source_a, source_b)
        by_pair = self.pair_weights(source_a, source_b, 1 - association)
        loss = 0
        for index, source in enumerate((source_a, source_b)):
            difference = fused - source
            named = (association * by_pixel[index] * difference).square().mean()
            others = ((1 - association) * difference).square().mean((1, 2, 3))
            loss = loss + named + (by_pair[index] * others).mean()
        return loss

    @torch.no_grad()
    def pixel_weights(self, source_a: Image, source_b: Image) -> Float[Tensor, '2 batch 1 h w']:
        """Compute the weights of both sources at each pixel, which sum to 1."""
        encoder = self.densefuse.network.to(source_a.device)
        return torch.stack([encoder.encode(source).sum(1, keepdim=True) for source in (source_a, source_b)]).softmax(0)

    @torch.no_grad()
    def pair_weights(self, source_a: Image, source_b: Image, region: Image) -> Float[Tensor, '2 batch']:
        """Compute the weights of both sources within a region, which sum to 1 for each pair."""
        return torch.stack([self._structure(source, region) / 4000 for source in (source_a, source_b)]).softmax(0)

    def _structure(self, image: Image, region: Image) -> Float[Tensor, ' batch']:
        kernel, total = symmetric_kernel(image, 1 / 8, 1 / 8, -1), 0
        for features in self.vgg.taps(image.expand(-1, 3, -1, -1), TAPS):
            laplacian = conv2d(pad(features.sum(1, keepdim=True), (1, 1, 1, 1), mode='reflect'), kernel)
            area = region.sum((1, 2, 3))
            within = (laplacian.square() * region).sum((1, 2, 3))
            total = total + within / area.clamp(min=torch.finfo(area.dtype).tiny)  # 0 for an empty region
            region = interpolate(region, scale_factor=0.5)
        return total / len(TAPS)


def _densefuse(pretrained: bool) -> DenseEncoder:
    """Build the encoder of DenseFuse, with the authors' weights if these are wanted."""
    encoder = DenseEncoder()
    if pretrained:
        path = fetch(DENSEFUSE, original(DENSEFUSE), verify=True)
        state = convert(DenseEncoder, load_checkpoint_file(path), RELEASED_ENCODER_PARTS, dropped=r'^conv[2-5]\.',
                        remedy='Give DenseFuse.model of the released TextFusion, unchanged.')
        load_strictly(encoder, state, str(path))
    return encoder
