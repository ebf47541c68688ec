"""Captions and answers from the image-text models of the transformers library."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from PIL.Image import Image as Picture

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.answers import read
from vlfusion.language.captioners.parts import check_numbers, check_template, load_transformers
from vlfusion.language.captioners.pixels import rgb
from vlfusion.language.chat import in_order
from vlfusion.language.decoding import decode_answer
from vlfusion.language.interfaces import Image, Observation
from vlfusion.registry import CAPTIONERS

PAIR_PROMPT = ('The first image is $modality_a, the second $modality_b; both show the same scene. Say in at most four '
               'plain sentences what each shows better than the other.')
_UNPROMPTED = ('blip', 'blip-2', 'git')  # these caption an image without any text


class _Writer:
    """A generating image-text model; a subclass says how a prompt is put to it. Decoding never samples."""

    variables = ('modality',)  # that the prompt may hold

    def __init__(self, model: str, prompt: str, revision: str | None, device: str, dtype: str, batch_size: int,
                 max_new_tokens: int, num_beams: int):
        part = type(self).__name__
        check_numbers(part, {'batch_size': batch_size, 'max_new_tokens': max_new_tokens, 'num_beams': num_beams})
        self.prompt = check_template(part, prompt, *self.variables)
        self.processor, self.model = load_transformers(part, 'AutoModelForImageTextToText', model, revision, device,
                                                       dtype)
        self.name, self.batch_size = model, batch_size
        self.settings = {'max_new_tokens': max_new_tokens, 'num_beams': num_beams, 'do_sample': False}

    @torch.inference_mode()
    def _answers(self, shown: list, **kinds: str) -> list[list[Observation] | DataError]:
        """The answers about pictures, or about tuples of pictures; an error where there is no description in one."""
        prompt, texts = self.prompt.substitute(kinds), []
        for start in range(0, len(shown), self.batch_size):
            inputs = self._ask(shown[start:start + self.batch_size], prompt)
            texts += self._write(inputs.to(self.model.device, self.model.dtype))
        return list(map(self._answer, texts))

    def _answer(self, text: str) -> list[Observation] | DataError:
        try:
            return [Observation(' '.join(read(text, self.name).split()))] if text else []
        except DataError as error:
            return error

    def _ask(self, pictures: list[Picture], prompt: str) -> Any:
        """The model's inputs: the same question about every picture."""
        raise NotImplementedError

    def _read(self, inputs: Any) -> int:
        """Number of tokens of the output that are the prompt's."""
        return 0 if self.model.config.is_encoder_decoder else inputs['input_ids'].shape[1]

    def _write(self, inputs: Any) -> list[str]:
        start = self._read(inputs)
        tokens = self.model.generate(**inputs, **self.settings)[:, start:].tolist()
        prompts = inputs['input_ids'].tolist() if 'input_ids' in inputs else [[]] * len(tokens)
        return [decode_answer(self.processor.tokenizer, *both) for both in zip(prompts, tokens, strict=True)]


@CAPTIONERS.register_module()
class TransformersCaptioner(_Writer):
    """One sentence about each image from BLIP, BLIP-2, GIT or another captioning model.

    Args:
        model: a folder, or the id of a model on the Hugging Face hub, such as `Salesforce/blip2-opt-2.7b`.
        prompt: how the caption begins, or for BLIP-2 a question; may hold `$modality`. Empty for a plain caption. What
            is observed is the continuation, without the prompt.
        revision: branch, tag or commit of a hub model.
        device: where it runs, such as `cpu` or `cuda`.
        dtype: `float32`, `float16` or `bfloat16`.
        batch_size: how many images it reads at once.
        max_new_tokens: the longest caption.
        num_beams: hypotheses of beam search; 1 is greedy.

    Raises:
        ConfigError: transformers is not installed, the model cannot be loaded, or a setting is out of range.
    """

    version = '1'

    def __init__(self, model: str, prompt: str = '', revision: str | None = None, device: str = 'cpu',
                 dtype: str = 'float32', batch_size: int = 8, max_new_tokens: int = 40, num_beams: int = 1):
        super().__init__(model, prompt, revision, device, dtype, batch_size, max_new_tokens, num_beams)

    def stream(self, images: Iterable[Image], modality: str) -> Iterator[tuple[int, list[Observation] | DataError]]:
        """Text of the model about each image with its position; an error where that is no description."""
        return enumerate(self._answers([rgb(image) for image in images], modality=modality or 'unknown'))

    def observe(self, images: Sequence[Image], modality: str) -> list[list[Observation]]:
        """Text of the model about each image as one observation; none where it writes nothing.

        Args:
            images: as `vlfusion.imaging.images.read_image` returns them.
            modality: what stands for `$modality` in the prompt; `unknown` where it is empty.

        Raises:
            DataError: an image is of floats or has no pixels, or an answer holds no description.
        """
        return in_order(self.stream(images, modality))

    def _ask(self, pictures: list[Picture], prompt: str) -> Any:
        kind = self.model.config.model_type
        text = {'text': [prompt] * len(pictures)} if prompt or kind not in _UNPROMPTED else {}
        inputs = self.processor(images=pictures, return_tensors='pt', **text)
        inputs.pop('token_type_ids', None)
        if text and kind == 'git' and (inputs['input_ids'][:, -1] == self.processor.tokenizer.sep_token_id).all():
            # A caption that has ended cannot be continued.
            inputs |= {name: inputs[name][:, :-1] for name in ('input_ids', 'attention_mask')}
        return inputs

    def _read(self, inputs: Any) -> int:
        if 'input_ids' not in inputs:
            # The model begins with a token of its own, BLIP-2 after those that stand for the image.
            image_tokens = self.model.config.num_query_tokens if self.model.config.model_type == 'blip-2' else 0
            return 0 if self.model.config.is_encoder_decoder else image_tokens + 1
        return super()._read(inputs) - (self.model.config.model_type == 'blip')  # BLIP drops the prompt's end itself


class _ChatVLM(_Writer):
    """A chat model that sees."""

    def __init__(self, model: str, prompt: str, *settings: Any):
        part = type(self).__name__
        if not prompt.strip():
            raise ConfigError(f'The prompt of {part} is empty.', 'Write the question that it shall answer.')
        super().__init__(model, prompt, *settings)
        if not getattr(self.processor, 'chat_template', None):
            raise ConfigError(f'The processor of the model {model!r} has no chat template.',
                              'Use TransformersCaptioner for a captioning model, or a chat model that has one.')
        # Answers begin where prompts end, so the padding of shorter prompts goes before them.
        self.processor.tokenizer.padding_side = 'left'

    def _ask(self, pictures: list[tuple[Picture, ...]], prompt: str) -> Any:
        chats = [[{'role': 'user', 'content': [*({'type': 'image', 'image': picture} for picture in shown),
                                               {'type': 'text', 'text': prompt}]}] for shown in pictures]
        return self.processor.apply_chat_template(chats, add_generation_prompt=True, tokenize=True, return_dict=True,
                                                  return_tensors='pt', processor_kwargs={'padding': True})


@CAPTIONERS.register_module()
class ChatVLMCaptioner(_ChatVLM):
    """The answer of a chat model that sees, such as LLaVA or Qwen-VL, to one question about each image.

    Args:
        model: a folder, or the id of a model on the Hugging Face hub, such as `llava-hf/llava-1.5-7b-hf`.
        prompt: the question, in your own words; may hold `$modality`.
        revision: branch, tag or commit of a hub model.
        device: where it runs, such as `cpu` or `cuda`.
        dtype: `float32`, `float16` or `bfloat16`.
        batch_size: how many images it reads at once.
        max_new_tokens: the longest answer.
        num_beams: hypotheses of beam search; 1 is greedy.

    Raises:
        ConfigError: transformers is not installed, the model cannot be loaded or has no chat template, or a setting is
            out of range.
    """

    version = '1'

    def __init__(self, model: str, prompt: str = 'Describe this $modality image in at most four plain sentences.',
                 revision: str | None = None, device: str = 'cpu', dtype: str = 'float32', batch_size: int = 4,
                 max_new_tokens: int = 200, num_beams: int = 1):
        super().__init__(model, prompt, revision, device, dtype, batch_size, max_new_tokens, num_beams)

    def stream(self, images: Iterable[Image], modality: str) -> Iterator[tuple[int, list[Observation] | DataError]]:
        """The answer about each image with its position; an error where it holds no description."""
        return enumerate(self._answers([(rgb(image),) for image in images], modality=modality or 'unknown'))

    def observe(self, images: Sequence[Image], modality: str) -> list[list[Observation]]:
        """The answer about each image as one observation; see `TransformersCaptioner.observe`."""
        return in_order(self.stream(images, modality))


@CAPTIONERS.register_module()
class ChatVLMPairCaptioner(_ChatVLM):
    """The answer of a chat model that takes several images, such as Qwen2-VL, to one question about both of a pair.

    It needs a prompt about pairs.

    Args:
        model: a folder, or the id of a model on the Hugging Face hub, such as `Qwen/Qwen2-VL-7B-Instruct`.
        prompt: the question, in your own words, put after source A and source B; may hold `$modality_a` and
            `$modality_b`.
        revision, device, dtype, max_new_tokens, num_beams: as `ChatVLMCaptioner` has them.
        batch_size: how many pairs it reads at once.

    Raises:
        ConfigError: as `ChatVLMCaptioner`.
    """

    version = '1'
    variables = ('modality_a', 'modality_b')

    def __init__(self, model: str, prompt: str = PAIR_PROMPT, revision: str | None = None, device: str = 'cpu',
                 dtype: str = 'float32', batch_size: int = 2, max_new_tokens: int = 200, num_beams: int = 1):
        super().__init__(model, prompt, revision, device, dtype, batch_size, max_new_tokens, num_beams)

    def stream(self, pairs: Iterable[tuple[Image, Image]],
               modalities: tuple[str, str]) -> Iterator[tuple[int, list[Observation] | DataError]]:
        """The answer about each pair with its position; an error where it holds no description."""
        a, b = (modality or 'unknown' for modality in modalities)
        shown = [(rgb(image_a), rgb(image_b)) for image_a, image_b in pairs]
        return enumerate(self._answers(shown, modality_a=a, modality_b=b))

    def observe_pairs(self, pairs: Sequence[tuple[Image, Image]],
                      modalities: tuple[str, str]) -> list[list[Observation]]:
        """The answer about each pair as one observation; raises as `TransformersCaptioner.observe` does."""
        return in_order(self.stream(pairs, modalities))
