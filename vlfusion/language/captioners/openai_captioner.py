"""Vision chats behind servers that speak OpenAI's chat protocol, as captioners of images or of pairs."""

import base64
from collections.abc import Sequence

import cv2
import numpy as np

from vlfusion.errors import DataError
from vlfusion.imaging.images import to_8bit
from vlfusion.language.captioners.parts import check_template, modality_variables
from vlfusion.language.captioners.scenes import checked_scenes
from vlfusion.language.chat.client import Chat, chat_client
from vlfusion.language.interfaces import Image, Observation
from vlfusion.registry import CAPTIONERS

QUESTION = ('Describe what can be seen in this $modality image: the things in it, what they look like, and where they '
            'are. Answer with a few plain sentences, without lists and without numbers.')
PAIR_QUESTION = ('The first image is $modality_a, the second is $modality_b; both show the same scene. Describe it and '
                 'say which things can be seen better in the first image and which in the second. Answer with a few '
                 'plain sentences, without lists and without numbers.')


@CAPTIONERS.register_module()
class OpenAICaptioner:
    """Answer of a vision chat to one question about each image, as one observation.

    Args:
        model: the model's name at the server; the model must accept images.
        question: the question; `$modality` stands for the modality. By default `default_question`.
        chat: the other arguments of `vlfusion.language.chat.client.ChatClient`, such as `base_url` and `api_key_env`.

    Attributes:
        client: the ChatClient, which counts tokens and cost.

    Raises:
        ConfigError: the package or the key is missing, or an argument is out of range.
    """

    version, images = '1', 1
    default_question = QUESTION

    def __init__(self, model: str, *, question: str | None = None, **chat):
        part = type(self).__name__
        self._question = check_template(part, self.default_question if question is None else question,
                                        *modality_variables(self.images))
        self.client = chat_client(part, model, chat)

    def observe(self, scenes: Sequence[tuple[Image, ...]],
                modalities: tuple[str, ...]) -> list[list[Observation] | Exception]:
        """Return the answer about each scene as one observation, or an error instead:

        - ChatError: the server refused the request, failed, or was not reached.
        - BudgetError: the budget is spent.
        - DataError: the answer is empty or unreadable.

        Raises:
            DataError: an image has neither 8 nor 16 bits, or scenes or modalities have another form.
        """
        scenes = checked_scenes(self, scenes, modalities)
        question = self._question.substitute(dict(zip(modality_variables(self.images), modalities, strict=True)))
        answers = dict(self.client.stream(_chat(question, images) for images in scenes))
        return [answer if isinstance(answer, Exception) else [Observation(answer.text.strip())]
                for _, answer in sorted(answers.items())]


@CAPTIONERS.register_module()
class OpenAIPairCaptioner(OpenAICaptioner):
    """Answer of a vision chat to one question about both images of a pair, as one observation.

    It needs a prompt about pairs, and a model that accepts several images. In its question `$modality_a` and
    `$modality_b` stand for the modalities. All else is as for `OpenAICaptioner`.
    """

    images = 2
    default_question = PAIR_QUESTION


def _chat(question: str, images: Sequence[Image]) -> Chat:
    """Make the request: the question, then the images in their order."""
    return Chat([{'role': 'user', 'content': [{'type': 'text', 'text': question}, *(
        {'type': 'image_url', 'image_url': {'url': data_url(image)}} for image in images)]}])


def data_url(image: Image) -> str:
    """Encode an image as an 8-bit PNG in a data URL. 16 bits are scaled by their full range, 65535 to 255.

    Raises:
        DataError: the image is neither uint8 nor uint16, or has no pixels.
    """
    if image.dtype not in (np.uint8, np.uint16) or not image.size:
        raise DataError(f'A vision chat takes 8- and 16-bit images, but got {image.dtype} of the shape {image.shape}.',
                        'Read it with vlfusion.imaging.images.read_image.')
    encoded = cv2.imencode('.png', to_8bit(image))[1]
    return f'data:image/png;base64,{base64.b64encode(encoded).decode()}'
