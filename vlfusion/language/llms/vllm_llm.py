"""vLLM in this process. For a vLLM server, use `OpenAILLM`."""

import time
from collections.abc import Mapping, Sequence
from functools import partial

from vlfusion.errors import ConfigError, DataError, needs
from vlfusion.guards.remote_code import refuse_remote_code
from vlfusion.language.answers.decoding import opening_tag
from vlfusion.language.interfaces import Completion, Prompt
from vlfusion.registry import LLMS


@LLMS.register_module()
class VLLMLLM:
    """Chat model in vLLM, which forms batches by itself. An answer to a prompt with a schema is JSON of that schema.

    Args:
        model: a folder, or the id of a model on the Hugging Face hub.
        revision: branch, tag or commit of a hub model.
        dtype: `auto`, `bfloat16`, `float16` or `float32`.
        max_new_tokens: the longest answer; the model's context limits it as well.
        temperature: 0 for the likeliest token every time; above 0 tokens are drawn.
        seed: the random seed of the draws, the same for every prompt.
        system: a system message before the prompt.
        engine: further arguments of `vllm.LLM`, such as `{'tensor_parallel_size': 2}`; not `trust_remote_code`.

    Raises:
        ConfigError: vllm is not installed or refuses the model or an argument, the model has no chat template, or
            `engine` asks to run code that comes with a model.
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
            # This fails now, not for each image, if the model has no chat template or allows no system message.
            self._model.chat(self._chat('?'), vllm.SamplingParams(max_tokens=1), use_tqdm=False)
        except Exception as error:  # vLLM and its loaders fail in many ways
            raise ConfigError(f'vLLM cannot chat with {model!r}: {error}',
                              'Give a folder, or the id of a chat model of the hub, and check the other arguments. '
                              'If the engine failed, its log above says why.') from error
        self._name = f'{model}@{revision}' if revision else model

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Return one completion per prompt, in order, as the model wrote it.

        Raises:
            DataError: vLLM refuses a prompt, such as one longer than the model's context; prompts are never cut.
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
