"""Captions and answers from the image-text models of the transformers library."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from PIL.Image import Image as Picture

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.answers import read
from vlfusion.language.captioners.parts import (
    check_numbers,
    check_template,
    in_batches,
    load_transformers,
    modality_variables,
)
from vlfusion.language.captioners.pixels import rgb
from vlfusion.language.decoding import decode_answer
from vlfusion.language.interfaces import Image, Observation
from vlfusion.registry import CAPTIONERS

PAIR_PROMPT = ('The first image is $modality_a, the second $modality_b; both show the same scene. Say in at most four '
               'plain sentences what each shows better than the other.')
_UNPROMPTED = ('blip', 'blip-2', 'git')  # these caption an image without any text


class _Writer:
    """A generating image-text model; a subclass says how a question is put to it. Decoding never samples."""

    version, images = '1', 1

    def __init__(self, model: str, *, prompt: str, revision: str | None, device: str, dtype: str, batch_size: int,
                 max_new_tokens: int, num_beams: int):
        part = type(self).__name__
        check_numbers(part, {'batch_size': batch_size, 'max_new_tokens': max_new_tokens, 'num_beams': num_beams})
        self.prompt = check_template(part, prompt, *modality_variables(self.images))
        self.processor, self.model = load_transformers(part, 'AutoModelForImageTextToText', model, revision, device,
                                                       dtype)
        self.name, self.batch_size = model, batch_size
        self.settings = {'max_new_tokens': max_new_tokens, 'num_beams': num_beams, 'do_sample': False}

    @torch.inference_mode()
    def observe(self, scenes: Sequence[tuple[Image, ...]],
                modalities: tuple[str, ...]) -> list[list[Observation] | DataError]:
        """Text of the model about each scene as one observation; none where it writes nothing.

        Args:
            scenes: images as `vlfusion.imaging.images.read_image` returns them.
            modalities: the words that stand for `$modality` in the prompt, or for `$modality_a` and `$modality_b`;
                `unknown` where one is empty.

        Returns:
            Observations, or a DataError in place of an answer that holds no description.

        Raises:
            DataError: an image is of floats or has no pixels.
        """
        words = [modality or 'unknown' for modality in modalities]
        prompt = self.prompt.substitute(dict(zip(modality_variables(self.images), words, strict=True)))
        pictures = [tuple(map(rgb, images)) for images in scenes]
        return in_batches(partial(self._answer, prompt), pictures, self.batch_size)

    def _answer(self, prompt: str, scenes: Sequence[tuple[Picture, ...]]) -> list[list[Observation] | DataError]:
        inputs = self._ask(scenes, prompt)
        return list(map(self._observations, self._write(inputs.to(self.model.device, self.model.dtype))))

    def _observations(self, text: str) -> list[Observation] | DataError:
        try:
            return [Observation(' '.join(read(text, self.name).split()))] if text else []
        except DataError as error:
            return error

    def _ask(self, scenes: Sequence[tuple[Picture, ...]], prompt: str) -> Any:
        """The model's inputs: the same question about every scene."""
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

    def __init__(self, model: str, *, prompt: str = '', revision: str | None = None, device: str = 'cpu',
                 dtype: str = 'float32', batch_size: int = 8, max_new_tokens: int = 40, num_beams: int = 1):
        super().__init__(model, prompt=prompt, revision=revision, device=device, dtype=dtype, batch_size=batch_size,
                         max_new_tokens=max_new_tokens, num_beams=num_beams)

    def _ask(self, scenes: Sequence[tuple[Picture]], prompt: str) -> Any:
        pictures = [picture for picture, in scenes]
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


@CAPTIONERS.register_module()
class ChatVLMCaptioner(_Writer):
    """The answer of a chat model that sees, such as LLaVA or Qwen-VL, to one question about each image.

    Args:
        model: a folder, or the id of a model on the Hugging Face hub, such as `llava-hf/llava-1.5-7b-hf`.
        prompt: the question, in your own words; may hold `$modality`. By default the one of the class.
        revision: branch, tag or commit of a hub model.
        device: where it runs, such as `cpu` or `cuda`.
        dtype: `float32`, `float16` or `bfloat16`.
        batch_size: how many images it reads at once, or how many pairs; by default four images in all.
        max_new_tokens: the longest answer.
        num_beams: hypotheses of beam search; 1 is greedy.

    Raises:
        ConfigError: transformers is not installed, the model cannot be loaded or has no chat template, or a setting is
            out of range.
    """

    default_prompt = 'Describe this $modality image in at most four plain sentences.'

    def __init__(self, model: str, *, prompt: str | None = None, revision: str | None = None, device: str = 'cpu',
                 dtype: str = 'float32', batch_size: int | None = None, max_new_tokens: int = 200, num_beams: int = 1):
        prompt = self.default_prompt if prompt is None else prompt
        if not prompt.strip():
            raise ConfigError(f'The prompt of {type(self).__name__} is empty.',
                              'Write the question that it shall answer.')
        super().__init__(model, prompt=prompt, revision=revision, device=device, dtype=dtype,
                         batch_size=4 // self.images if batch_size is None else batch_size,
                         max_new_tokens=max_new_tokens, num_beams=num_beams)
        if not getattr(self.processor, 'chat_template', None):
            raise ConfigError(f'The processor of the model {model!r} has no chat template.',
                              'Use TransformersCaptioner for a captioning model, or a chat model that has one.')
        # Answers begin where prompts end, so the padding of shorter prompts goes before them.
        self.processor.tokenizer.padding_side = 'left'

    def _ask(self, scenes: Sequence[tuple[Picture, ...]], prompt: str) -> Any:
        chats = [[{'role': 'user', 'content': [*({'type': 'image', 'image': picture} for picture in pictures),
                                               {'type': 'text', 'text': prompt}]}] for pictures in scenes]
        return self.processor.apply_chat_template(chats, add_generation_prompt=True, tokenize=True, return_dict=True,
                                                  return_tensors='pt', processor_kwargs={'padding': True})


@CAPTIONERS.register_module()
class ChatVLMPairCaptioner(ChatVLMCaptioner):
    """The answer of a chat model that takes several images, such as Qwen2-VL, to one question about both of a pair.

    It needs a prompt about pairs. Its question stands after source A and source B and may hold `$modality_a` and
    `$modality_b`. All else is as for `ChatVLMCaptioner`.
    """

    images = 2
    default_prompt = PAIR_PROMPT
