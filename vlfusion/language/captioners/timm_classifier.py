"""Classes of an image, by a classifier of timm."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.errors import ConfigError, needs
from vlfusion.language.captioners.parts import best, check_labels, check_numbers, in_batches
from vlfusion.language.captioners.pixels import rgb
from vlfusion.language.captioners.scenes import checked_scenes
from vlfusion.language.interfaces import Image, Observation
from vlfusion.language.precision import torch_device
from vlfusion.registry import CAPTIONERS


@CAPTIONERS.register_module()
class TimmClassifier:
    """Most probable classes of each image. A score is the softmax over all classes.

    Args:
        model: a name of timm with its tag, such as `convnext_tiny.fb_in22k_ft_in1k`, or `hf-hub:` with a model id.
        checkpoint_path: the file of your own weights; empty for those of timm.
        labels: the names of the classes, in order; None for those of ImageNet.
        top_k: the largest number of classes.
        threshold: the least score.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        batch_size: images in one batch.

    Raises:
        ConfigError: timm is not installed, the model cannot be loaded, the numbers of classes and labels differ, the
            names of the classes are unknown, or a setting is out of range.
    """

    version, images = '1', 1

    def __init__(self, model: str, *, checkpoint_path: str = '', labels: Sequence[str] | None = None, top_k: int = 3,
                 threshold: float = 0.1, device: str = 'cpu', batch_size: int = 16):
        part, device = type(self).__name__, torch_device(device)
        check_numbers(part, {'top_k': top_k, 'batch_size': batch_size}, {'threshold': threshold})
        names = None if labels is None else check_labels(part, labels)
        with needs(part, 'timm', 'vision'):
            import timm
        # A head of another size would be random, so only your own checkpoint may have one.
        head = {'num_classes': len(names)} if names and checkpoint_path else {}
        path = str(Path(checkpoint_path).expanduser()) if checkpoint_path else ''
        try:
            network = timm.create_model(model, pretrained=not checkpoint_path, checkpoint_path=path, **head)
            self.model = network.to(device).eval()
        except Exception as error:  # an unknown name, a damaged file and an absent device fail in many ways
            raise ConfigError(f'{part} cannot load the model {model!r}'
                              f'{f" with the checkpoint {path}" if path else ""}: {error}',
                              'timm.list_pretrained() lists the models; a checkpoint must be of the model and have as '
                              'many classes as there are labels, and the device must exist.') from error
        self.labels = names or _imagenet(timm, self.model, model)
        if len(self.labels) != self.model.num_classes:
            raise ConfigError(f'The model {model!r} has {self.model.num_classes} classes, but {part} got '
                              f'{len(self.labels)} labels.', 'Give one label per class, in order.')
        self.transform = timm.data.create_transform(**timm.data.resolve_model_data_config(self.model))
        self.device, self.top_k, self.threshold, self.batch_size = device, top_k, threshold, batch_size

    @torch.inference_mode()
    def observe(self, scenes: Sequence[tuple[Image]], modalities: tuple[str]) -> list[list[Observation]]:
        """Return the most probable classes of each image with their scores, best first.

        Args:
            scenes: single images, as `vlfusion.imaging.images.read_image` returns them.
            modalities: one word, without effect.

        Raises:
            DataError: an image holds floats or has no pixels, or scenes or modalities have another form.
        """
        pictures = [self.transform(rgb(image)) for image, in checked_scenes(self, scenes, modalities)]
        return in_batches(self._classify, pictures, self.batch_size)

    def _classify(self, pictures: Sequence[Float[Tensor, '3 h w']]) -> list[list[Observation]]:
        logits = self.model(torch.stack(pictures).to(self.device))
        return best(logits.softmax(-1), self.labels, self.top_k, self.threshold)


def _imagenet(timm, network, model: str) -> list[str]:
    """Return the class names of ImageNet, or of its subset with the network's number of classes."""
    subset = timm.data.infer_imagenet_subset(network)
    if subset is None:
        raise ConfigError(f'The {network.num_classes} classes of the model {model!r} are not those of ImageNet.',
                          'Give their names: labels=[...], in order.')
    # A class such as 'tench, Tinca tinca' has several names; the first is the plainest.
    return [names.partition(',')[0] for names in timm.data.ImageNetInfo(subset).label_descriptions()]
