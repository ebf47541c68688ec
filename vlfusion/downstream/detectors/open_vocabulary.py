"""Detector by words alone, without training: OWLv2, OWL-ViT, GroundingDINO."""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

import numpy as np
from PIL import Image

from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.interfaces import Detector, Picture
from vlfusion.downstream.networks import in_equal_batches, place_classes
from vlfusion.language.captioners.grounding import Grounding, Things
from vlfusion.language.captioners.parts import check_numbers
from vlfusion.registry import DETECTORS


@DETECTORS.register_module()
class OpenVocabularyBoxes(Detector):
    """Detector of the classes that phrases name, by OWLv2, OWL-ViT or GroundingDINO.

    It is the captioner `OpenVocabularyDetector` with classes instead of texts. GroundingDINO answers in its own
    spelling and may join two phrases. Such an answer counts for the phrase that it resembles most.

    Args:
        classes: classes of the labels.
        model: a folder, or the id of a model on the Hugging Face hub, such as `google/owlv2-base-patch16-ensemble` or
            `IDEA-Research/grounding-dino-tiny`.
        names: a dict from phrases to names in the table, such as `{'a street lamp': 'Lamp'}`; several phrases may stand
            for one class. By default the names of the table in lower case, without the void class.
        threshold: the least score.
        overlap: the intersection over union above which two boxes of one phrase count as one thing.
        top_k: the largest number of boxes in a picture.
        revision: branch, tag or commit of a hub model.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        dtype: `float32`, `float16` or `bfloat16`.
        batch_size: pictures in one batch.

    Raises:
        ConfigError: transformers or torchvision is not installed, the model cannot be loaded, a phrase is longer than
            the model reads, a name is not in the table, or a setting is out of range.
    """

    def __init__(self, classes: ClassTable, model: str, *, names: Mapping[str, str] | None = None,
                 threshold: float = 0.05, overlap: float = 0.5, top_k: int = 100, revision: str | None = None,
                 device: str = 'cpu', dtype: str = 'float32', batch_size: int = 4):
        super().__init__()
        part = type(self).__name__
        check_numbers(part, {'top_k': top_k, 'batch_size': batch_size}, {'threshold': threshold, 'overlap': overlap})
        if names is None:
            names = {name.lower().replace('_', ' '): name for number, name in enumerate(classes.names)
                     if number != classes.void}
        self.phrases = list(names)
        self.places = place_classes(part, dict(enumerate(self.phrases)), classes, names)
        self.grounding = Grounding(part, model, self.phrases, threshold, overlap, revision, device, dtype)
        self.network = self.grounding.model
        self.top_k, self.batch_size = top_k, batch_size

    def detect(self, pictures: Sequence[Picture]) -> list[Boxes]:
        return in_equal_batches(self._detect, pictures, self.batch_size)

    def _detect(self, pictures: list[Picture]) -> list[Boxes]:
        things = self.grounding.find([Image.fromarray(picture) for picture in pictures])
        return [self._boxes(of_picture, *picture.shape[:2])
                for of_picture, picture in zip(things, pictures, strict=True)]

    def _boxes(self, things: Things, height: int, width: int) -> Boxes:
        classes = np.array([self._class(name) for name in things.names[:self.top_k]], np.int64)
        corners = things.boxes[:self.top_k].double().numpy() * (width, height, width, height)
        return Boxes(corners, classes, things.scores[:self.top_k].double().numpy())

    def _class(self, answer: str) -> int:
        """Return the class of an answer: that of the equal phrase, or else of the most similar one."""
        alike = [SequenceMatcher(None, answer.casefold(), phrase.casefold()).ratio() for phrase in self.phrases]
        return self.places[max(range(len(alike)), key=alike.__getitem__)]
