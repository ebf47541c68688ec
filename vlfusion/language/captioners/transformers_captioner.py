"""Captions and answers of image-text models of the transformers library."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from PIL.Image import Image as Picture

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.answers.clean import read
from vlfusion.language.answers.decoding import decode_answer
from vlfusion.language.captioners.parts import (
    check_numbers,
    check_template,
    in_batches,
    load_transformers,
    modality_variables,
)
from vlfusion.language.captioners.pixels import rgb
from vlfusion.language.captioners.scenes import checked_scenes
from vlfusion.language.interfaces import Image, Observation
from vlfusion.registry import CAPTIONERS

PAIR_PROMPT = ('The first image is $modality_a, the second $modality_b; both show the same scene. Say in at most four '
               'plain sentences what each shows better than the other.')
_UNPROMPTED = ('blip', 'blip-2', 'git')  # these caption an image without any text


class _Writer:
    """Generating image-text model. A subclass forms its inputs from a question. Decoding never samples."""

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
        """Return the text of the model about each scene as one observation, or no observation if it writes nothing.

        Args:
            scenes: images as `vlfusion.imaging.images.read_image` returns them.
            modalities: the words for `$modality` in the prompt, or for `$modality_a` and `$modality_b`. An empty word
                becomes `unknown`.

        Returns:
            Observations of each scene, or a DataError if the answer holds no description.

        Raises:
            DataError: an image holds floats or has no pixels, or scenes or modalities have another form.
        """
        scenes = checked_scenes(self, scenes, modalities)
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
        """Return the model's inputs: the same question about every scene."""
        raise NotImplementedError

    def _read(self, inputs: Any) -> int:
        """Return the number of output tokens that repeat the prompt."""
        return 0 if self.model.config.is_encoder_decoder else inputs['input_ids'].shape[1]

    def _write(self, inputs: Any) -> list[str]:
        start = self._read(inputs)
        tokens = self.model.generate(**inputs, **self.settings)[:, start:].tolist()
        prompts = inputs['input_ids'].tolist() if 'input_ids' in inputs else [[]] * len(tokens)
        return [decode_answer(self.processor.tokenizer, *both) for both in zip(prompts, tokens, strict=True)]


@CAPTIONERS.register_module()
class TransformersCaptioner(_Writer):
    """Caption of each image, one sentence by BLIP, BLIP-2, GIT or another captioning model.

    Args:
        model: a folder, or the id of a model on the Hugging Face hub, such as `Salesforce/blip2-opt-2.7b`.
        prompt: the beginning of the caption, or a question for BLIP-2; may hold `$modality`. Empty for a plain
            caption. The observation is the continuation, without the prompt.
        revision: branch, tag or commit of a hub model.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        dtype: `float32`, `float16` or `bfloat16`.
        batch_size: images in one batch.
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
        model_type = self.model.config.model_type
        text = {'text': [prompt] * len(pictures)} if prompt or model_type not in _UNPROMPTED else {}
        inputs = self.processor(images=pictures, return_tensors='pt', **text)
        inputs.pop('token_type_ids', None)
        end = self.processor.tokenizer.sep_token_id
        if text and model_type == 'git' and (inputs['input_ids'][:, -1] == end).all():
            # GIT cannot continue a caption that has ended.
            inputs |= {name: inputs[name][:, :-1] for name in ('input_ids', 'attention_mask')}
        return inputs

    def _read(self, inputs: Any) -> int:
        if 'input_ids' not in inputs:
            # The output begins with one token of the model; in BLIP-2, the tokens for the image precede it.
            image_tokens = self.model.config.num_query_tokens if self.model.config.model_type == 'blip-2' else 0
            return 0 if self.model.config.is_encoder_decoder else image_tokens + 1
        return super()._read(inputs) - (self.model.config.model_type == 'blip')  # BLIP drops the prompt's end token


@CAPTIONERS.register_module()
class ChatVLMCaptioner(_Writer):
    """Answer of a vision chat model, such as LLaVA or Qwen-VL, to one question about each image.

    Args:
        model: a folder, or the id of a model on the Hugging Face hub, such as `llava-hf/llava-1.5-7b-hf`.
        prompt: the question, in your own words; may hold `$modality`. By default `default_prompt`.
        revision: branch, tag or commit of a hub model.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        dtype: `float32`, `float16` or `bfloat16`.
        batch_size: images or pairs in one batch; by default four images, or two pairs.
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
                              'Write the question that the model shall answer.')
        super().__init__(model, prompt=prompt, revision=revision, device=device, dtype=dtype,
                         batch_size=4 // self.images if batch_size is None else batch_size,
                         max_new_tokens=max_new_tokens, num_beams=num_beams)
        if not getattr(self.processor, 'chat_template', None):
            raise ConfigError(f'The processor of the model {model!r} has no chat template.',
                              'Use TransformersCaptioner for a captioning model, or a chat model that has one.')
        # Answers begin where prompts end, so shorter prompts are padded on the left.
        self.processor.tokenizer.padding_side = 'left'

    def _ask(self, scenes: Sequence[tuple[Picture, ...]], prompt: str) -> Any:
        chats = [[{'role': 'user', 'content': [*({'type': 'image', 'image': picture} for picture in pictures),
                                               {'type': 'text', 'text': prompt}]}] for pictures in scenes]
        return self.processor.apply_chat_template(chats, add_generation_prompt=True, tokenize=True, return_dict=True,
                                                  return_tensors='pt', processor_kwargs={'padding': True})


@CAPTIONERS.register_module()
class ChatVLMPairCaptioner(ChatVLMCaptioner):
    """Answer of a chat model that takes several images, such as Qwen2-VL, to one question about both images of a pair.

    It needs a prompt about pairs. Its question follows source A and source B and may hold `$modality_a` and
    `$modality_b`. All else is as for `ChatVLMCaptioner`.
    """

    images = 2
    default_prompt = PAIR_PROMPT
