"""DenseFuse: a fusion approach to infrared and visible images (Li and Wu, IEEE TIP 28(5), 2614-2623, 2019).

An encoder (one convolution and a dense block) turns an image into 64 feature maps; a decoder of four convolutions
restores the image. Both are trained together as an autoencoder on single images. At test time, two images are fused by
merging their features. This independent implementation reproduces the output of the authors' PyTorch version.
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.models.layers.dense_encoder import RELEASED_ENCODER_PARTS, DenseEncoder, rectified_conv
from vlfusion.models.layers.merging import MERGING_RULES, merge_features, takes_stacks
from vlfusion.models.released import convert
from vlfusion.models.stacks import Stack
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class DenseFuse(DenseEncoder):
    """DenseFuse: a convolutional autoencoder with a dense block, which fuses two images by merging their features.

    Both sources go through one encoder, so their order does not matter.

    Args:
        fusion: `mean` (called addition in the authors' PyTorch version), `sum` (addition in their TensorFlow version)
            or `l1` (weights by activity). Rules have no weights, so any rule fits any checkpoint.
            The means take any number of sources.
        dim: channels of the first convolution and of each layer of the dense block; the encoder gives four times as
            many.

    >>> import torch
    >>> DenseFuse()(torch.rand(2, 1, 20, 28), torch.rand(2, 1, 20, 28)).shape
    torch.Size([2, 1, 20, 28])

    Raises:
        ConfigError: the fusion rule is unknown.
    """

    def __init__(self, fusion: str = 'mean', dim: int = 16):
        super().__init__(dim)
        if fusion not in MERGING_RULES:
            raise ConfigError(f'DenseFuse has no fusion rule {fusion!r}.', did_you_mean(fusion, MERGING_RULES))
        self.fusion = fusion
        self.sources = None if takes_stacks(fusion) else 2
        self.halo = 8 + (fusion == 'l1')  # eight 3x3 convolutions one after the other; the window of the activity
        self.decoder = nn.Sequential(*(rectified_conv(channels, out) for channels, out in (
            (4 * dim, 4 * dim), (4 * dim, 2 * dim), (2 * dim, dim), (dim, 1))))

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a, source_b: luminance in [0, 1], of at least two rows and columns.
            text, text_mask: unused; DenseFuse reads no text.

        Returns:
            The fused luminance, clamped to [0, 1].

        Raises:
            DataError: an image has a single row or column, which cannot be reflected.
        """
        return self.fuse_stack((source_a, source_b))

    def fuse_stack(self, sources: Stack) -> Float[Tensor, 'batch 1 h w']:
        """Fuse any number of images of one scene; the rest is as for `forward`."""
        [merged] = merge_features(((self.encode(source),) for source in sources), self.fusion)
        return self.decode(merged).clamp(max=1)

    def encode(self, image: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch dim h w']:
        """Compute the features of an image in [0, 1]; they are not negative. Raises DataError as `forward`."""
        if min(image.shape[-2:]) < 2:
            raise DataError(f'DenseFuse needs images of at least 2x2, but got {tuple(image.shape[-2:])}.',
                            'Use larger images.')
        return super().encode(255 * image)  # the network was trained on grey levels

    def decode(self, features: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch 1 h w']:
        """Restore an image from its features. Values are 0 or more and not clamped at 1."""
        return self.decoder(features) / 255

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network for grey images to the names of this one.

        Args:
            state: released name to tensor; a prefix `module.` is dropped.

        Raises:
            CheckpointError: a name is missing, or DenseFuse does not have it.
        """
        return convert(DenseFuse, state, _RELEASED_PARTS, remedy='Give densefuse_gray.model, unchanged.')


#: Patterns that turn our names into the released ones.
_RELEASED_PARTS = (*RELEASED_ENCODER_PARTS, (r'decoder\.(\d)', lambda match: f'conv{int(match[1]) + 2}'))
