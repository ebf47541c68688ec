"""IFCNN: a general image fusion framework based on convolutional neural network (Zhang et al., Inf. Fusion 2020).

Two convolutions turn each source into features, an elementwise rule merges the features of all sources, and two more
convolutions make the fused image. This independent implementation reproduces the output of the released network up to
rounding.
"""

import os
from collections.abc import Iterable
from functools import reduce

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.errors import CheckpointError, ConfigError, did_you_mean
from vlfusion.models.layers.merging import merge_features
from vlfusion.models.released import convert, without_prefix
from vlfusion.models.stacks import Stack
from vlfusion.registry import BACKBONES

#: Rules that merge the features of all sources.
FUSION_RULES = ('max', 'mean', 'sum')


@BACKBONES.register_module()
class IFCNN(nn.Module):
    """IFCNN: four convolutions and an elementwise fusion rule, for luminance.

    The network works on colour images. A grey source is given as red, green and blue, and the fused image is the
    luminance of the output. The authors do the same for grey images and for the luminance of exposures. No rule depends
    on the order of the sources.

    Args:
        fusion: `max` (the authors' rule for infrared-visible, medical and multi-focus pairs), `mean` (multi-exposure)
            or `sum`. Rules have no weights, but the authors trained a network for each rule.
        normalise: whether images are normalised by ImageNet's mean and deviation. The released test script does so for
            multi-focus pairs only; other published pictures were always made with it (see the plugin's README).
        first_layer: file with `conv1.weight`, read when training starts: torchvision's ResNet101, or any released
            IFCNN, which holds that layer unchanged. Without it, the frozen layer keeps random filters until `load_from`
            fills it.

    >>> IFCNN()(torch.rand(2, 1, 20, 28), torch.rand(2, 1, 20, 28)).shape
    torch.Size([2, 1, 20, 28])

    Raises:
        ConfigError: the fusion rule is unknown.
    """

    training_only = ('first_layer',)
    halo = 5  # one 7x7 convolution and two of 3x3
    sources = None

    def __init__(self, fusion: str = 'max', normalise: bool = False, first_layer: str | os.PathLike | None = None):
        super().__init__()
        if fusion not in FUSION_RULES:
            raise ConfigError(f'IFCNN has no fusion rule {fusion!r}.', did_you_mean(fusion, FUSION_RULES))
        self.fusion = fusion
        self.first_layer = first_layer
        self.first = nn.Conv2d(3, 64, 7, padding=3, padding_mode='replicate', bias=False)  # CONV1
        self.extract = _conv_block(64)  # CONV2
        self.reconstruct = _conv_block(64)  # CONV3
        self.output = nn.Conv2d(64, 3, 1)  # CONV4
        for layer in (self.extract[0], self.reconstruct[0], self.output):
            nn.init.kaiming_normal_(layer.weight, mode='fan_out', nonlinearity='relu')
        self.first.requires_grad_(False)

        mean, deviation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) if normalise else ((0., 0., 0.), (1., 1., 1.))
        for name, values in (('mean', mean), ('deviation', deviation), ('luminance', (0.299, 0.587, 0.114))):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def init_weights(self) -> None:
        """Load the frozen first layer; the runner calls this once before training.

        Raises:
            CheckpointError: the file cannot be read or has no `conv1.weight` of the right shape.
        """
        if self.first_layer is None:
            return
        filters = load_checkpoint_file(self.first_layer).get('conv1.weight')
        if filters is None or filters.shape != self.first.weight.shape:
            raise CheckpointError(f'{self.first_layer} has no conv1.weight of shape {tuple(self.first.weight.shape)}.',
                                  "Give torchvision's weights of ResNet101, or IFCNN-MAX.pth.")
        self.first.weight.data.copy_(filters)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a, source_b: luminance in [0, 1], of any height and width.
            text, text_mask: unused; IFCNN reads no text.

        Returns:
            The fused luminance in [0, 1]; not clamped in training mode, because clamped pixels have no gradient.
        """
        return self.fuse_stack((source_a, source_b))

    def fuse_stack(self, sources: Stack) -> Float[Tensor, 'batch 1 h w']:
        """Fuse any number of images of one scene; the rest is as for `forward`."""
        fused = self._fuse(source.expand(-1, 3, -1, -1) for source in sources)
        if not self.training:
            fused = fused.clamp(0, 1)
        return (fused * self.luminance).sum(1, keepdim=True)

    def fuse_colour(self, *sources: Float[Tensor, 'batch 3 h w']) -> Float[Tensor, 'batch 3 h w']:
        """Fuse any number of colour images (red, green, blue in [0, 1]) of one scene; the result is not clamped."""
        return self._fuse(sources)

    def _fuse(self, sources: Iterable[Float[Tensor, 'batch 3 h w']]) -> Float[Tensor, 'batch 3 h w']:
        features = (self.extract(self.first((source - self.mean) / self.deviation)) for source in sources)
        fused = self.output(self.reconstruct(_merge(features, self.fusion)))
        return fused * self.deviation + self.mean

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of a released network to the names of this one.

        Args:
            state: released name to tensor; a prefix `module.` is dropped.

        Raises:
            CheckpointError: a name is missing, or IFCNN does not have it.
        """
        state = without_prefix(state)
        # torch 0.4 wrote the released files without counting batches; evaluation does not use the count.
        state = {f'{released}.bn.num_batches_tracked': torch.tensor(0) for released in ('conv2', 'conv3')} | state
        return convert(IFCNN, state, _released_name,
                       remedy='Give one of IFCNN-MAX.pth, IFCNN-MEAN.pth and IFCNN-SUM.pth, unchanged.')


def _merge(features: Iterable[Float[Tensor, 'batch dim h w']], rule: str) -> Float[Tensor, 'batch dim h w']:
    """Merge the features of all sources by one of `FUSION_RULES`; one source is held at a time."""
    if rule == 'max':
        return reduce(torch.maximum, features)
    return merge_features(([source] for source in features), rule)[0]


def _conv_block(dim: int) -> nn.Sequential:
    """Build a 3x3 convolution with replicated borders, batch normalisation and ReLU."""
    return nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1, padding_mode='replicate', bias=False),
                         nn.BatchNorm2d(dim), nn.ReLU())


def _released_name(name: str) -> str:
    """Released name of a parameter of IFCNN."""
    for part, released in (('first', 'conv1'), ('extract', 'conv2'), ('reconstruct', 'conv3'), ('output', 'conv4'),
                           ('.0.', '.conv.'), ('.1.', '.bn.')):
        name = name.replace(part, released)
    return name
