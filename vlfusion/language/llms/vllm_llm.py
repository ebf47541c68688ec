"""vLLM in this process. To use a vLLM server, take `OpenAILLM`."""

import time
from collections.abc import Mapping, Sequence
from functools import partial

from vlfusion.errors import ConfigError, DataError, needs
from vlfusion.guards.remote_code import refuse_remote_code
from vlfusion.language.decoding import opening_tag
from vlfusion.language.interfaces import Completion, Prompt
from vlfusion.registry import LLMS


@LLMS.register_module()
class VLLMLLM:
    """A chat model that vLLM loads; it forms batches by itself. An answer to a prompt with a schema is JSON of it.

    Args:
        model: a folder, or the id of a model on the Hugging Face hub.
        revision: branch, tag or commit of a hub model.
        dtype: `auto`, `bfloat16`, `float16` or `float32`.
        max_new_tokens: the longest answer; it is cut where the model's context ends, too.
        temperature: 0 takes the likeliest token every time; above, tokens are drawn.
        seed: of the draws for every prompt.
        system: a system message that goes before the prompt.
        engine: further arguments of `vllm.LLM`, such as `{'tensor_parallel_size': 2}`; not `trust_remote_code`.

    Raises:
        ConfigError: vllm is not installed, or refuses the model or an argument; the model has no chat template; or the
            engine is to run code that comes with a model.
    """

    version = '1'

    def __init__(self, model: str, *, revision: str | None = None, dtype: str = 'auto', max_new_tokens: int = 512,
                 temperature: float = 0, seed: int = 0, system: str | None = None, engine: Mapping | None = None):
        refuse_remote_code(engine, type(self).__name__)
        with needs('VLLMLLM', 'vllm',
                   remedy='pip install vllm, best in an environment of its own with vllm serve and OpenAILLM.'):
            import vllm
            from vllm.exceptions import VLLMClientError
            from vllm.sampling_params import StructuredOutputsParams
        self._system = [{'role': 'system', 'content': system}] if system else []
        self._sampling = partial(vllm.SamplingParams, temperature=temperature, max_tokens=max_new_tokens, seed=seed)
        self._structure, self._refusal = StructuredOutputsParams, VLLMClientError
        try:
            self._sampling()
            self._model = vllm.LLM(model, revision=revision, dtype=dtype, seed=seed, **(engine or {}))
            # A model without a chat template, or without room in it for a system message, is found here, not per image.
            self._model.chat(self._chat('?'), vllm.SamplingParams(max_tokens=1), use_tqdm=False)
        except Exception as error:  # vLLM and the loaders below it refuse in many ways
            raise ConfigError(f'vLLM cannot chat with {model!r}: {error}',
                              'Give a folder, or the id of a chat model of the hub, and check the other arguments. '
                              'Where the engine failed, its log above says why.') from error
        self._name = f'{model}@{revision}' if revision else model

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """One completion per prompt, in order, as the model wrote it.

        Raises:
            DataError: vLLM refuses a prompt, such as one that is longer than the model's context; none is cut.
        """
        if not prompts:
            return []
        start = time.perf_counter()
        try:
            answers = self._model.chat([self._chat(prompt.text) for prompt in prompts],
                                       [self._sampling_of(prompt) for prompt in prompts], use_tqdm=False)
        except self._refusal as error:
            raise DataError(f'{self._name} cannot take one of {len(prompts)} prompts: {error}',
                            'Use fewer observations, a simpler schema, or a model with a longer context.') from error
        seconds = (time.perf_counter() - start) / len(prompts)
        tokenizer = self._model.get_tokenizer()
        return [Completion(opening_tag(tokenizer, answer.prompt_token_ids) + answer.outputs[0].text.strip(), self._name,
                           len(answer.prompt_token_ids),
                           len(answer.outputs[0].token_ids), answer.outputs[0].finish_reason or 'unknown', seconds,
                           cost=None) for answer in answers]

    def _chat(self, text: str) -> list[dict]:
        return [*self._system, {'role': 'user', 'content': text}]

    def _sampling_of(self, prompt: Prompt):
        structure = None if prompt.schema is None else self._structure(json=dict(prompt.schema))
        return self._sampling(structured_outputs=structure)
