"""Captions of images and of their regions, by Florence-2 of the transformers library."""

from collections.abc import Sequence

import torch
from PIL.Image import Image as Picture

from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.language.captioners.parts import check_numbers, in_batches, load_transformers
from vlfusion.language.captioners.pixels import rgb
from vlfusion.language.captioners.scenes import checked_scenes
from vlfusion.language.interfaces import Image, Observation
from vlfusion.registry import CAPTIONERS

_CAPTIONS = {'caption': '<CAPTION>', 'detailed caption': '<DETAILED_CAPTION>',
             'more detailed caption': '<MORE_DETAILED_CAPTION>'}
_REGIONS = {'dense region caption': '<DENSE_REGION_CAPTION>', 'object detection': '<OD>'}
_TASKS = _CAPTIONS | _REGIONS
# Florence-2 places an edge in the middle of one of 1000 bins, and its processor truncates that to whole pixels. In an
# image of this width every middle is a whole pixel, so nothing is lost, even for a small real image.
_GRID = 2000


@CAPTIONERS.register_module()
class FlorenceCaptioner:
    """Florence-2 (Xiao et al., CVPR 2024): captions of each image, and of its regions with their boxes.

    Decoding is a beam search and never samples.

    Args:
        model: a folder, or the id of a model on the Hugging Face hub, such as `florence-community/Florence-2-base`.
        tasks: the questions about each image, in order: `caption`, `detailed caption`, `more detailed caption`,
            `dense region caption` (phrases with boxes), `object detection` (names with boxes).
        revision: branch, tag or commit of a hub model.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        dtype: `float32`, `float16` or `bfloat16`.
        batch_size: images in one batch.
        max_new_tokens: the longest answer to one task. A box takes four tokens; an incomplete box is dropped.
        num_beams: hypotheses of beam search; 1 is greedy.

    Raises:
        ConfigError: transformers is not installed, the model cannot be loaded or is not a Florence-2, a task is
            unknown, or a setting is out of range.
    """

    version, images = '1', 1

    def __init__(self, model: str, *, tasks: Sequence[str] = ('caption', 'dense region caption'),
                 revision: str | None = None, device: str = 'cpu', dtype: str = 'float32', batch_size: int = 4,
                 max_new_tokens: int = 1024, num_beams: int = 3):
        part = type(self).__name__
        check_numbers(part, {'batch_size': batch_size, 'max_new_tokens': max_new_tokens, 'num_beams': num_beams})
        self.tasks = _check_tasks(part, tasks)
        self.processor, self.model = load_transformers(part, 'AutoModelForImageTextToText', model, revision, device,
                                                       dtype)
        if (model_type := self.model.config.model_type) != 'florence2':
            raise ConfigError(f'{part} runs Florence-2, but the model {model!r} is of the type {model_type}.',
                              'Use TransformersCaptioner, or a model such as florence-community/Florence-2-base.')
        readable = self.processor.post_processor.parse_task_config
        if set(self.tasks) & set(_REGIONS) and 'description_with_bboxes' not in readable:
            raise ConfigError(f'The processor of the model {model!r} does not say how boxes are read.',
                              'Its processor_config.json needs the post_processor_config of '
                              'florence-community/Florence-2-base.')
        if max_new_tokens > (most := self.model.config.text_config.max_position_embeddings):
            raise ConfigError(f'The model {model!r} writes at most {most} tokens; {part} got '
                              f'max_new_tokens={max_new_tokens}.', f'Write max_new_tokens={most} or less.')
        self.batch_size = batch_size
        self.settings = {'max_new_tokens': max_new_tokens, 'num_beams': num_beams, 'do_sample': False}

    @torch.inference_mode()
    def observe(self, scenes: Sequence[tuple[Image]], modalities: tuple[str]) -> list[list[Observation]]:
        """Describe each image, task by task. A region comes with its box and the area of the box.

        Args:
            scenes: single images, as `vlfusion.imaging.images.read_image` returns them.
            modalities: one word, without effect: Florence-2 answers its own tasks only.

        Raises:
            DataError: an image holds floats or has no pixels, or scenes or modalities have another form.
        """
        pictures = [rgb(image) for image, in checked_scenes(self, scenes, modalities)]
        return in_batches(self._describe, pictures, self.batch_size)

    def _describe(self, pictures: list[Picture]) -> list[list[Observation]]:
        answers = [self._answer(pictures, task) for task in self.tasks]
        return [sum(of_picture, []) for of_picture in zip(*answers, strict=True)]

    def _answer(self, pictures: list[Picture], task: str) -> list[list[Observation]]:
        inputs = self.processor(images=pictures, text=[_TASKS[task]] * len(pictures), return_tensors='pt')
        written = self.model.generate(**inputs.to(self.model.device, self.model.dtype), **self.settings)
        # Boxes are special tokens.
        texts = self.processor.batch_decode(written, skip_special_tokens=task in _CAPTIONS)
        return [self._caption(text) if task in _CAPTIONS else self._regions(text, _TASKS[task]) for text in texts]

    def _caption(self, text: str) -> list[Observation]:
        return [Observation(' '.join(text.split()))] if text.strip() else []

    def _regions(self, text: str, task: str) -> list[Observation]:
        regions = self.processor.post_process_generation(text, task=task, image_size=(_GRID, _GRID))[task]
        observations = []
        for label, box in zip(regions['labels'], regions['bboxes'], strict=True):
            x0, y0, x1, y1 = (min(edge / _GRID, 1.0) for edge in box)
            if label and x0 < x1 and y0 < y1:  # a weak model may write the corners in the wrong order
                observations.append(Observation(' '.join(label.split()), (x0, y0, x1, y1), (x1 - x0) * (y1 - y0)))
        return observations


def _check_tasks(part: str, tasks: Sequence[str]) -> list[str]:
    if isinstance(tasks, str) or not tasks or len(set(tasks)) < len(tasks):
        raise ConfigError(f'The tasks of {part} must be a list of different names, but it got {tasks!r}.',
                          "Write tasks=['caption', 'dense region caption'].")
    for task in tasks:
        if task not in _TASKS:
            raise ConfigError(f'{part} has no task {task!r}.', did_you_mean(str(task), _TASKS))
    return list(tasks)
