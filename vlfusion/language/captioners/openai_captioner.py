"""Any vision chat behind a server that speaks OpenAI's chat protocol, as a captioner of images or of pairs."""

import base64
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np

from vlfusion.errors import DataError
from vlfusion.imaging.images import to_8bit
from vlfusion.language.captioners.parts import check_template
from vlfusion.language.chat import Chat, ChatClient, chat_client, in_order
from vlfusion.language.interfaces import Image, Observation
from vlfusion.registry import CAPTIONERS

QUESTION = ('Describe what can be seen in this $modality image: the things in it, what they look like, and where they '
            'are. Answer with a few plain sentences, without lists and without numbers.')
PAIR_QUESTION = ('The first image is $modality_a, the second is $modality_b; both show the same scene. Describe it and '
                 'say which things can be seen better in the first image and which in the second. Answer with a few '
                 'plain sentences, without lists and without numbers.')


@CAPTIONERS.register_module()
class OpenAICaptioner:
    """Shows each image to a vision chat and asks it a question; the answer is the one observation.

    Args:
        model: the model's name at the server; it must take images.
        question: what is asked; `$modality` stands for the kind of image.
        chat: the other arguments of `vlfusion.language.chat.ChatClient`, such as `base_url` and `api_key_env`.

    Attributes:
        client: the ChatClient, which counts tokens and cost.

    Raises:
        ConfigError: the package or the key is missing, or an argument makes no sense.
    """

    version = '1'

    def __init__(self, model: str, *, question: str = QUESTION, **chat):
        self._question = check_template(type(self).__name__, question, 'modality')
        self.client = chat_client(type(self).__name__, model, chat)

    def stream(self, images: Iterable[Image], modality: str) -> Iterator[tuple[int, list[Observation] | Exception]]:
        """Observations of each image with its position, as soon as it is there; see `ChatClient.stream`."""
        question = self._question.substitute(modality=modality)
        return _answers(self.client, question, ((image,) for image in images))

    def observe(self, images: Sequence[Image], modality: str) -> list[list[Observation]]:
        """One observation of each image.

        Raises:
            ChatError: the server refused a request, failed, or was not reached.
            BudgetError: the budget is spent.
            DataError: an answer is empty or unreadable, or an image has neither 8 nor 16 bits.
        """
        return in_order(self.stream(images, modality))


@CAPTIONERS.register_module()
class OpenAIPairCaptioner:
    """Shows both images of a pair to a vision chat at once; its answer is the one observation.

    It needs a prompt about pairs.

    Args:
        model: the model's name at the server; it must take several images.
        question: what is asked; `$modality_a` and `$modality_b` stand for the kinds of image.
        chat: the other arguments of `vlfusion.language.chat.ChatClient`, such as `base_url` and `api_key_env`.

    Attributes:
        client: the ChatClient, which counts tokens and cost.

    Raises:
        ConfigError: the package or the key is missing, or an argument makes no sense.
    """

    version = '1'

    def __init__(self, model: str, *, question: str = PAIR_QUESTION, **chat):
        self._question = check_template(type(self).__name__, question, 'modality_a', 'modality_b')
        self.client = chat_client(type(self).__name__, model, chat)

    def stream(self, pairs: Iterable[tuple[Image, Image]],
               modalities: tuple[str, str]) -> Iterator[tuple[int, list[Observation] | Exception]]:
        """Observations of each pair with its position, as soon as it is there; see `ChatClient.stream`."""
        question = self._question.substitute(modality_a=modalities[0], modality_b=modalities[1])
        return _answers(self.client, question, pairs)

    def observe_pairs(self, pairs: Sequence[tuple[Image, Image]],
                      modalities: tuple[str, str]) -> list[list[Observation]]:
        """One observation of each pair; raises as `OpenAICaptioner.observe` does."""
        return in_order(self.stream(pairs, modalities))


def _answers(client: ChatClient, question: str,
             shown: Iterable[Sequence[Image]]) -> Iterator[tuple[int, list[Observation] | Exception]]:
    """The answer to one question about each group of images, first the question, then the images in their order."""
    chats = (Chat([{'role': 'user', 'content': [{'type': 'text', 'text': question}, *(
        {'type': 'image_url', 'image_url': {'url': data_url(image)}} for image in images)]}]) for images in shown)
    for index, answer in client.stream(chats):
        yield index, answer if isinstance(answer, Exception) else [Observation(answer.text.strip())]


def data_url(image: Image) -> str:
    """An image as a PNG of 8 bits in a data URL; 16 bits are scaled by their full range, 65535 to 255.

    Raises:
        DataError: it is neither uint8 nor uint16, or has no pixels.
    """
    if image.dtype not in (np.uint8, np.uint16) or not image.size:
        raise DataError(f'A vision chat takes 8- and 16-bit images, not {image.dtype} of the shape {image.shape}.',
                        'Read it by vlfusion.imaging.images.read_image.')
    encoded = cv2.imencode('.png', to_8bit(image))[1]
    return f'data:image/png;base64,{base64.b64encode(encoded).decode()}'
