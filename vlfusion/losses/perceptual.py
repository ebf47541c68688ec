"""Perceptual terms: distances between the features of a pretrained network."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from vlfusion.errors import ConfigError, DataError, did_you_mean, needs
from vlfusion.registry import LOSSES


class FrozenNetwork:
    """A pretrained network inside a loss. Its weights get no gradient and enter no checkpoint.

    It is not a module, so the state of the module that holds it leaves it out. It moves to the device of its inputs.
    """

    def __init__(self, network: nn.Module):
        self.network = network.eval().requires_grad_(False)

    def __call__(self, images: Float[Tensor, 'batch c h w'], **options):
        return self.network.to(images.device)(images, **options)

    def taps(self, images: Float[Tensor, 'batch c h w'],
             layers: Collection[int]) -> Iterator[Float[Tensor, 'batch _ _ _']]:
        """Yield the outputs of some layers of a sequential network, in its order.

        Use each before asking for the next: a layer that works in place overwrites its input.
        """
        features = images
        for index, layer in enumerate(self.network.to(images.device)):
            features = layer(features)
            if index in layers:
                yield features


@contextmanager
def from_torchvision(term: str, network: str) -> Iterator[None]:
    """Explain errors of a block that imports torchvision and loads its weights.

    Args:
        term: name of the loss that needs the network, for the error.
        network: name of the network, for the error.

    Raises:
        ConfigError: torchvision is not installed, or the weights cannot be fetched.
    """
    try:
        with needs(term, 'torchvision', 'perceptual'):
            yield
    except OSError as error:  # includes URLError
        raise ConfigError(
            f'The weights of {network} could not be fetched: {error}.',
            'Run it once on a machine with a connection, and copy the folder hub/checkpoints under TORCH_HOME '
            '(~/.cache/torch) from there.') from error


def vgg_stages(term: str, depth: int, stages: int, weights: str | None) -> nn.Sequential:
    """Build the first stages of VGG (Simonyan and Zisserman, ICLR 2015), without the pooling of the last one.

    Args:
        term: name of the loss that needs the network, for the errors.
        depth: 16 or 19.
        stages: number of stages, 1 to 5.
        weights: name of torchvision's weights, such as `IMAGENET1K_V1`; None for random weights, useful only in tests.

    Raises:
        ConfigError: torchvision is not installed, or the weights cannot be fetched.
    """
    with from_torchvision(term, f'VGG-{depth}'):
        from torchvision.models import get_model_weights
        from torchvision.models.vgg import cfgs, make_layers
        widths = cfgs[{16: 'D', 19: 'E'}[depth]]
        poolings = [index for index, width in enumerate(widths) if width == 'M']
        layers = make_layers(widths[:poolings[stages - 1]])
        if weights is not None:
            state = get_model_weights(f'vgg{depth}')[weights].get_state_dict(check_hash=True, weights_only=True)
            layers.load_state_dict({name: state[f'features.{name}'] for name in layers.state_dict()})
    return layers


@LOSSES.register_module()
class PerceptualLoss(nn.Module):
    """Mean squared difference of deep features: `mean_s mean_l ||phi_l(F) - phi_l(S_s)||^2 / numel`.

    The mean is over both sources `s` and all feature maps `l` of a frozen timm model. This is equation 2 of Johnson et
    al. (ECCV 2016) for two targets. With `target='truth'` the true image is the only target.

    The luminance is repeated to three channels and normalised as in the training of the model.

    Args:
        weight: factor in the total.
        model: name of a timm model that returns feature maps.
        pretrained: whether to load the published weights. Without them the features are random: useful only in tests.
        layers: indices of the feature maps, from fine to coarse; None for all.
        target: `sources` or `truth`.

    Raises:
        ConfigError: timm is not installed, lacks the model or its weights, or the model has no such feature maps.
    """

    def __init__(self, weight: float = 1.0, *, model: str = 'vgg16', pretrained: bool = True,
                 layers: Sequence[int] | None = None, target: str = 'sources'):
        super().__init__()
        if target not in ('sources', 'truth'):
            raise ConfigError(f'PerceptualLoss has no target {target!r}.', did_you_mean(target, ('sources', 'truth')))
        self.weight, self.target = weight, target
        with needs('PerceptualLoss', 'timm', 'vision'):
            import timm
        try:
            network = timm.create_model(model, pretrained=pretrained, features_only=True,
                                        **({} if layers is None else {'out_indices': tuple(layers)}))
        except Exception as error:  # unknown names, missing feature maps and weights fail differently
            raise ConfigError(f'timm cannot build feature maps of {model!r} with pretrained={pretrained}: {error}',
                              'timm.list_models() lists the models; published weights come from the hub.') from error
        trained = timm.data.resolve_model_data_config(network)
        self.features = FrozenNetwork(network)
        self.register_buffer('mean', torch.tensor(trained['mean']).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(trained['std']).view(3, 1, 1), persistent=False)

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w'],
                truth: Float[Tensor, 'batch 1 h w'] | None = None) -> Float[Tensor, '']:
        if self.target == 'truth' and truth is None:
            raise DataError("PerceptualLoss(target='truth') needs the true image of every pair.",
                            "Set truth='FOLDER' in the data set.")
        fused_features = self._features(fused)
        with torch.no_grad():
            targets = [self._features(image) for image in ([truth] if self.target == 'truth' else [source_a, source_b])]
        terms = [mse_loss(x, y) for target in targets for x, y in zip(fused_features, target, strict=True)]
        return torch.stack(terms).mean()

    def _features(self, images: Float[Tensor, 'batch 1 h w']) -> list[Float[Tensor, '...']]:
        return self.features((images - self.mean) / self.std)
