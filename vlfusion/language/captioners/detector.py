"""Open-vocabulary detectors of the transformers library, which find named things in an image."""

from collections.abc import Sequence
from inspect import signature
from itertools import groupby

import torch
from PIL.Image import Image as Picture

from vlfusion.errors import ConfigError, needs
from vlfusion.language.captioners.parts import check_labels, check_numbers, in_batches, load_transformers
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
        self.labels = check_labels(part, labels)
        with needs(part, 'torchvision', 'language,vision'):
            from torchvision.ops import batched_nms
        self.processor, self.model = load_transformers(part, 'AutoModelForZeroShotObjectDetection', model, revision,
                                                       device, dtype)
        self._check_lengths(part)
        self.suppress = batched_nms
        self.threshold, self.overlap, self.top_k, self.batch_size = threshold, overlap, top_k, batch_size

    @torch.inference_mode()
    def observe(self, scenes: Sequence[tuple[Image]], modalities: tuple[str]) -> list[list[Observation]]:
        """Return the things found in each image, best first: label, box, area as a fraction of the image, score.

        Args:
            scenes: single images, as `vlfusion.imaging.images.read_image` returns them.
            modalities: one word, without effect.

        Raises:
            DataError: an image holds floats or has no pixels, or scenes or modalities have another form.
        """
        pictures = [rgb(image) for image, in checked_scenes(self, scenes, modalities)]
        return [observations for _, same in groupby(pictures, key=lambda picture: picture.size)
                for observations in in_batches(self._detect, list(same), self.batch_size)]

    def _detect(self, pictures: list[Picture]) -> list[list[Observation]]:
        labels = [self.labels] * len(pictures)
        inputs = self.processor(images=pictures, text=labels, return_tensors='pt')
        outputs = self.model(**inputs.to(self.model.device, self.model.dtype))
        finish = self.processor.post_process_grounded_object_detection
        # GroundingDINO forms its label from the words above a threshold of their own.
        words = {'text_threshold': self.threshold} if 'text_threshold' in signature(finish).parameters else {}
        things = finish(outputs, threshold=self.threshold, text_labels=labels, **words,
                        target_sizes=[(picture.height, picture.width) for picture in pictures])
        return [self._observations(of_picture, picture) for of_picture, picture in zip(things, pictures, strict=True)]

    def _observations(self, things: dict, picture: Picture) -> list[Observation]:
        names = [' '.join(name.split()) for name in things['text_labels']]
        scores, size = things['scores'].float().cpu(), torch.tensor([picture.width, picture.height] * 2)
        boxes = (things['boxes'].float().cpu() / size).clamp(0, 1)
        classes = torch.tensor([names.index(name) for name in names], dtype=torch.long)
        observations = []
        for index in self.suppress(boxes, scores, classes, self.overlap).tolist():  # the best first
            x0, y0, x1, y1 = boxes[index].tolist()
            if names[index] and x0 < x1 and y0 < y1:  # a box may lie in the padding beside the image
                observations.append(Observation(names[index], (x0, y0, x1, y1), (x1 - x0) * (y1 - y0),
                                                scores[index].item()))
        return observations[:self.top_k]

    def _check_lengths(self, part: str) -> None:
        """Refuse labels that are too long for the text side. OWL reads each alone, GroundingDINO all as one text."""
        text, tokenizer = self.model.config.text_config, self.processor.tokenizer
        most = getattr(self.model.config, 'max_text_len', text.max_position_embeddings)
        sentences = self.labels if self.model.config.model_type.startswith('owl') else [
            ' '.join(f'{label}.' for label in self.labels)]
        for sentence in sentences:
            if (count := len(tokenizer(sentence, verbose=False)['input_ids'])) > most:
                raise ConfigError(f'The labels of {part} are too long: "{sentence[:60]}" has {count} tokens, but the '
                                  f'model reads at most {most}.', 'Shorten the labels, or give fewer.')
