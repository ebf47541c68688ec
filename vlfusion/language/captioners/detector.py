"""Open-vocabulary detectors of the transformers library, which find named things in an image."""

from collections.abc import Sequence
from itertools import groupby

from vlfusion.language.captioners.grounding import Grounding, Things
from vlfusion.language.captioners.parts import check_numbers, in_batches
from vlfusion.language.captioners.pixels import rgb
from vlfusion.language.captioners.scenes import checked_scenes
from vlfusion.language.interfaces import Image, Observation
from vlfusion.registry import CAPTIONERS


@CAPTIONERS.register_module()
class OpenVocabularyDetector:
    """Detector of the things in a list, by OWLv2, OWL-ViT or GroundingDINO: labels with boxes and scores.

    If boxes of one label overlap much, only the best is kept.

    Args:
        model: a folder, or the id of a model on the Hugging Face hub, such as `google/owlv2-base-patch16-ensemble` or
            `IDEA-Research/grounding-dino-tiny`.
        labels: words or phrases for the things to find. GroundingDINO answers in its own spelling and may join two.
        threshold: the least score.
        overlap: the intersection over union above which two boxes of one label count as one thing.
        top_k: the largest number of boxes; those with the best scores are kept.
        revision: branch, tag or commit of a hub model.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        dtype: `float32`, `float16` or `bfloat16`.
        batch_size: images in one batch. Only images of equal size are batched, because padding would change what the
            model sees.

    Raises:
        ConfigError: transformers or torchvision is not installed, the model cannot be loaded, a label is longer than
            the model reads, or a setting is out of range.
    """

    version, images = '1', 1

    def __init__(self, model: str, labels: Sequence[str], *, threshold: float = 0.2, overlap: float = 0.5,
                 top_k: int = 10, revision: str | None = None, device: str = 'cpu', dtype: str = 'float32',
                 batch_size: int = 4):
        part = type(self).__name__
        check_numbers(part, {'top_k': top_k, 'batch_size': batch_size}, {'threshold': threshold, 'overlap': overlap})
        self.grounding = Grounding(part, model, labels, threshold, overlap, revision, device, dtype)
        self.model = self.grounding.model
        self.top_k, self.batch_size = top_k, batch_size

    def observe(self, scenes: Sequence[tuple[Image]], modalities: tuple[str]) -> list[list[Observation]]:
        """Return the things found in each image, best first: label, box, area as a fraction of the image, score.

        Args:
            scenes: single images, as `vlfusion.imaging.images.read_image` returns them.
            modalities: one word, without effect.

        Raises:
            DataError: an image holds floats or has no pixels, or scenes or modalities have another form.
        """
        pictures = [rgb(image) for image, in checked_scenes(self, scenes, modalities)]
        return [self._observations(things) for _, same in groupby(pictures, key=lambda picture: picture.size)
                for things in in_batches(self.grounding.find, list(same), self.batch_size)]

    def _observations(self, things: Things) -> list[Observation]:
        return [Observation(name, (x0, y0, x1, y1), (x1 - x0) * (y1 - y0), score)
                for name, (x0, y0, x1, y1), score in zip(things.names, things.boxes.tolist(), things.scores.tolist(),
                                                         strict=True)][:self.top_k]
