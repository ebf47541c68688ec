"""CLIP inside a loss: frozen towers of an open_clip model, and images and sentences in its space."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.language.encoders import OpenCLIPTextEncoder


class FrozenCLIP:
    """An image-text model of open_clip for losses, loaded at the first use and never trained.

    It is not a module, so the state of the loss that holds it leaves it out, and a checkpoint holds no weights of CLIP.
    Gradients pass through it to the images. It moves to the device of its inputs.

    Args:
        sentences: sentences that the loss compares images with; `embed` takes others.
        model: name of an open_clip model with an image and a text tower, as in `OpenCLIPTextEncoder`.
        pretrained: name of its weights, as in `OpenCLIPTextEncoder`.
        antialias: whether larger images are filtered before they are made smaller.

    Raises:
        ConfigError: at the first use, open_clip or the weights are missing.
        DataError: at the first use, a sentence is longer than CLIP can read.
    """

    def __init__(self, sentences: Sequence[str] = (), model: str = 'ViT-B-32-quickgelu',
                 pretrained: str | None = 'openai', antialias: bool = True):
        self.sentences, self.model, self.pretrained = list(sentences), model, pretrained
        self.antialias = antialias
        self._parts: tuple[nn.Module, Tensor, Tensor] | None = None

    def network(self, device: torch.device) -> nn.Module:
        """Return the model of open_clip."""
        return self._on(device)[0]

    def texts(self, device: torch.device, normalise: bool = True) -> Float[Tensor, 'sentence dim']:
        """Return the embeddings of the sentences, of norm 1 unless `normalise` is False."""
        texts = self._on(device)[1]
        return F.normalize(texts, dim=-1) if normalise else texts

    def embed(self, sentences: Sequence[str], device: torch.device) -> Float[Tensor, 'sentence dim']:
        """Embed other sentences as vectors of norm 1, without a gradient."""
        self._on(device)
        self._encoder.device = device
        return F.normalize(self._embedded(sentences), dim=-1).to(device)

    def size(self, device: torch.device) -> tuple[int, int]:
        """Return height and width of the images that the model reads."""
        size = self.network(device).visual.image_size
        return (size, size) if isinstance(size, int) else tuple(size)

    def images(self, batches: Sequence[Float[Tensor, 'batch 1 _ _']]) -> Float[Tensor, 'image dim']:
        """Embed batches of luminance in [0, 1] as vectors of norm 1. Batches may differ in image size."""
        clip, _, (mean, std) = self._on(batches[0].device)
        size = self.size(batches[0].device)
        images = torch.cat([F.interpolate(batch, size, mode='bilinear', antialias=self.antialias)
                            for batch in batches])
        return clip.encode_image((images - mean) / std, normalize=True)  # (image, 3, h, w)

    def _on(self, device: torch.device) -> tuple[nn.Module, Float[Tensor, 'sentence dim'], Float[Tensor, '2 3 1 1']]:
        """Return the model, the embeddings of the sentences, and mean and deviation of the model's images."""
        if self._parts is None:
            self._encoder = OpenCLIPTextEncoder(self.model, pretrained=self.pretrained, output='pooled',
                                                device=str(device))
            visual = self._encoder.model.visual
            statistics = torch.tensor([visual.image_mean, visual.image_std])[..., None, None]
            self._parts = self._encoder.model.requires_grad_(False), self._embedded(self.sentences), statistics
        self._parts = tuple(part.to(device) for part in self._parts)
        return self._parts

    def _embedded(self, sentences: Sequence[str]) -> Float[Tensor, 'sentence dim']:
        if not sentences:
            return torch.empty(0, self._encoder.dim)
        # The encoder returns inference tensors, which autograd refuses; a clone is an ordinary tensor.
        return self._encoder.encode(sentences).features[:, 0].clone()
