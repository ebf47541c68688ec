"""Masks of the things that words name: a detector finds their boxes, SAM their outlines, in both sources.

The authors use OWL-ViT (Minderer et al., ECCV 2022) and SAM (Kirillov et al., ICCV 2023). In their code the detector
sees the infrared image in the colours of the visible one; here it sees each source as it is.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool

from vlfusion.language.captioners.detector import OpenVocabularyDetector
from vlfusion.language.captioners.parts import load_transformers
from vlfusion.language.captioners.pixels import rgb
from vlfusion.language.interfaces import Image, Observation


class WordMasks:
    """Finder of the regions that words name, in both sources together.

    Args:
        words: words or phrases for the things, such as `['people', 'car']`.
        detector: a folder, or the id of a model on the Hugging Face hub for `OpenVocabularyDetector`, such as
            `google/owlvit-base-patch32`.
        segmenter: the same for SAM or SAM2, such as `facebook/sam-vit-huge`; None fills the boxes.
        share, least: a box counts if its score is at least `least`, and this share of the image's best score.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.

    Raises:
        ConfigError: a model cannot be loaded, or the words are not a list of words.
    """

    def __init__(self, words: Sequence[str], detector: str, segmenter: str | None = None, *, share: float = 0.1,
                 least: float = 0.005, device: str = 'cpu'):
        self.detect = OpenVocabularyDetector(detector, words, threshold=least, overlap=1., top_k=1000, device=device)
        self.segmenter = segmenter and load_transformers('WordMasks', 'AutoModelForMaskGeneration', segmenter, None,
                                                         device, 'float32')
        self.share = share

    def __call__(self, image_a: Image, image_b: Image) -> Bool[np.ndarray, 'h w']:
        """Return where either source shows one of the things.

        Args:
            image_a, image_b: images of one size, as `vlfusion.imaging.images.read_image` returns them.
        """
        return self._in_one(image_a) | self._in_one(image_b)

    def _in_one(self, image: Image) -> Bool[np.ndarray, 'h w']:
        [things] = self.detect.observe([(image,)], ('',))
        things = [thing for thing in things if thing.score >= self.share * things[0].score]  # the best is the first
        if not things:
            return np.zeros(image.shape[:2], bool)
        return self._outlines(image, things) if self.segmenter else filled_boxes(image.shape[:2], things)

    @torch.inference_mode()
    def _outlines(self, image: Image, things: Sequence[Observation]) -> Bool[np.ndarray, 'h w']:
        """Return the union of the regions that SAM sees in the boxes."""
        processor, network = self.segmenter
        height, width = image.shape[:2]
        boxes = (np.array([thing.box for thing in things]) * [width, height, width, height]).tolist()
        inputs = processor(images=rgb(image), input_boxes=[boxes], return_tensors='pt')
        sizes = [inputs[name] for name in ('original_sizes', 'reshaped_input_sizes') if name in inputs]  # SAM2: one
        outputs = network(**inputs.to(network.device), multimask_output=False)
        [masks] = processor.post_process_masks(outputs.pred_masks.cpu(), *sizes)
        return masks.flatten(0, 1).any(0).numpy()


def filled_boxes(size: tuple[int, int], things: Sequence[Observation]) -> Bool[np.ndarray, 'h w']:
    """Return a mask of a size (height, width) that is true inside the boxes.

    >>> filled_boxes((2, 4), [Observation('car', (0.5, 0., 1., 0.5))]).astype(int)
    array([[0, 0, 1, 1],
           [0, 0, 0, 0]])
    """
    height, width = size
    mask = np.zeros(size, bool)
    for x0, y0, x1, y1 in (thing.box for thing in things):
        mask[round(y0 * height):round(y1 * height), round(x0 * width):round(x1 * width)] = True
    return mask
