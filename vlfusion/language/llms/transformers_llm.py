"""Local chat models of the transformers library."""

import time
from collections.abc import Mapping, Sequence

import torch

from vlfusion.errors import ConfigError, DataError, needs
from vlfusion.language.answers.decoding import decode_answer
from vlfusion.language.interfaces import Completion, Prompt
from vlfusion.language.precision import torch_device, torch_dtype
from vlfusion.registry import LLMS


@LLMS.register_module()
class TransformersLLM:
    """Causal language model with its own chat template. In float32 an answer does not depend on the batch.

    Args:
        model: a folder, or the id of a model on the Hugging Face hub.
        revision: branch, tag or commit of a hub model.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        dtype: `float32`, `float16` or `bfloat16`; `auto` is that of the checkpoint. In half precision an answer may
            depend on its batch by rounding.
        batch_size: prompts in one batch; with a temperature prompts are answered one by one.
        max_new_tokens: the longest answer.
        temperature: 0 for the likeliest token every time; above 0 tokens are drawn.
        seed: the random seed of the draws, the same for every prompt.
        system: a system message before the prompt.
        template_options: further variables of the chat template, such as `{'enable_thinking': False}`.

    Raises:
        ConfigError: transformers is not installed, the model cannot be loaded, or it has no chat template.
    """

    version = '1'

    def __init__(self, model: str, *, revision: str | None = None, device: str = 'cpu', dtype: str = 'float32',
                 batch_size: int = 8, max_new_tokens: int = 512, temperature: float = 0, seed: int = 0,
                 system: str | None = None, template_options: Mapping | None = None):
        with needs('TransformersLLM', 'transformers', 'language'):
            from transformers import AutoModelForCausalLM, AutoTokenizer
        precision = dtype if dtype == 'auto' else torch_dtype('TransformersLLM', dtype)
        if max_new_tokens < 1 or batch_size < 1 or temperature < 0:
            raise ConfigError(f'TransformersLLM got max_new_tokens={max_new_tokens}, batch_size={batch_size}, '
                              f'temperature={temperature}; one of them is out of range.',
                              'Give max_new_tokens and batch_size of at least 1, and a temperature of at least 0.')
        options = dict(trust_remote_code=False, **({'revision': revision} if revision else {}))
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(model, padding_side='left', **options)
            network, report = AutoModelForCausalLM.from_pretrained(model, dtype=precision, output_loading_info=True,
                                                                   **options)
        except (OSError, ValueError) as error:
            raise ConfigError(f'The language model {model!r} cannot be loaded: {error}',
                              'Give a folder, or the id of a causal language model of the hub.') from error
        if missing := sorted(report['missing_keys']):
            raise ConfigError(f'The language model {model!r} lacks {len(missing)} weights, such as {missing[0]}; they '
                              'would be random.', 'Give a causal language model.')
        self.model = network.to(torch_device(device)).eval()
        if not self.tokenizer.chat_template:
            raise ConfigError(f'The language model {model!r} has no chat template.',
                              'Use a model that was tuned for chat; its name often ends in -Instruct or -it.')
        self._ends = _ids(self.model.generation_config.eos_token_id) or _ids(self.tokenizer.eos_token_id)
        self._pad = next((token for token in (self.tokenizer.pad_token_id, *self._ends) if token is not None), 0)
        self._context: int | None = getattr(self.model.config.get_text_config(), 'max_position_embeddings', None)
        commit = getattr(self.model.config, '_commit_hash', None)
        self._name = f'{model}@{commit}' if commit else model
        self._batch_size = 1 if temperature else batch_size
        self._max_new_tokens, self._temperature, self._seed = max_new_tokens, temperature, seed
        self._system = [{'role': 'system', 'content': system}] if system else []
        self._template_options = dict(template_options or {})

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Return one completion per prompt, in order, as the model wrote it. The end token counts as written.

        Raises:
            DataError: a prompt and its answer exceed the model's context; prompts are never cut.
        """
        tokens = [self._tokens(position, prompt) for position, prompt in enumerate(prompts)]
        return [completion for start in range(0, len(tokens), self._batch_size)
                for completion in self._generate(tokens[start:start + self._batch_size])]

    def _tokens(self, position: int, prompt: Prompt) -> list[int]:
        messages = [*self._system, {'role': 'user', 'content': prompt.text}]
        tokens = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True,
                                                    **self._template_options)['input_ids']
        if self._context and len(tokens) + self._max_new_tokens > self._context:
            raise DataError(f'Prompt {position} ("{" ".join(prompt.text.split()[:8])} ...") has {len(tokens)} tokens; '
                            f'with an answer of up to {self._max_new_tokens} it exceeds the {self._context} that '
                            f'{self._name} reads.',
                            'Use fewer observations, a smaller max_new_tokens, or a model with a longer context.')
        return tokens

    @torch.inference_mode()
    def _generate(self, batch: list[list[int]]) -> list[Completion]:
        start, width, device = time.perf_counter(), max(map(len, batch)), self.model.device
        ids = torch.tensor([[self._pad] * (width - len(tokens)) + tokens for tokens in batch], device=device)
        lengths = torch.tensor([len(tokens) for tokens in batch], device=device)
        mask = (torch.arange(width, device=device) >= width - lengths[:, None]).long()
        drawing = {'do_sample': True, 'temperature': self._temperature} if self._temperature else {
            'do_sample': False, 'temperature': None, 'top_p': None, 'top_k': None}
        with torch.random.fork_rng():
            torch.manual_seed(self._seed)
            output = self.model.generate(ids, attention_mask=mask, max_new_tokens=self._max_new_tokens, num_beams=1,
                                         pad_token_id=self._pad, eos_token_id=self._ends or None, **drawing)
        seconds = (time.perf_counter() - start) / len(batch)
        completions = []
        for tokens, answer in zip(batch, output[:, width:].tolist(), strict=True):
            end = next((index + 1 for index, token in enumerate(answer) if token in self._ends), None)
            text = decode_answer(self.tokenizer, tokens, answer[:end])
            completions.append(Completion(text, self._name, len(tokens), end or len(answer),
                                          'stop' if end else 'length', seconds, cost=None))
        return completions


def _ids(tokens: int | list[int] | None) -> list[int]:
    return [] if tokens is None else [tokens] if isinstance(tokens, int) else list(tokens)
