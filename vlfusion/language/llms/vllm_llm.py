"""vLLM in this process. To use a vLLM server, take `OpenAILLM`."""

import time
from collections.abc import Mapping, Sequence

from vlfusion.errors import ConfigError
from vlfusion.language.interfaces import Completion, Prompt
from vlfusion.registry import LLMS


@LLMS.register_module()
class VLLMLLM:
    """A chat model that vLLM loads; it forms batches by itself.

    Args:
        model: a folder, or the id of a model on the Hugging Face hub.
        revision: branch, tag or commit of a hub model.
        dtype: `auto`, `bfloat16`, `float16` or `float32`.
        max_new_tokens: the longest answer.
        temperature: 0 takes the likeliest token every time; above, tokens are drawn.
        seed: of the draws for every prompt.
        system: a system message that goes before the prompt.
        engine: further arguments of `vllm.LLM`, such as `{'tensor_parallel_size': 2}`.

    Raises:
        ConfigError: vllm is not installed.
    """

    version = '1'

    def __init__(self, model: str, revision: str | None = None, dtype: str = 'auto', max_new_tokens: int = 512,
                 temperature: float = 0, seed: int = 0, system: str | None = None, engine: Mapping | None = None):
        try:
            import vllm
        except ImportError as error:
            raise ConfigError(f'VLLMLLM needs vllm, which cannot be imported: {error}.',
                              'pip install vllm, best in an environment of its own with vllm serve and OpenAILLM.'
                              ) from error
        self._model = vllm.LLM(model, revision=revision, dtype=dtype, seed=seed, **(engine or {}))
        self._sampling = vllm.SamplingParams(temperature=temperature, max_tokens=max_new_tokens, seed=seed)
        self._name = f'{model}@{revision}' if revision else model
        self._system = [{'role': 'system', 'content': system}] if system else []

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """One completion per prompt, in order."""
        if not prompts:
            return []
        start = time.perf_counter()
        chats = [[*self._system, {'role': 'user', 'content': prompt.text}] for prompt in prompts]
        answers = self._model.chat(chats, self._sampling, use_tqdm=False)
        seconds = (time.perf_counter() - start) / len(prompts)
        return [Completion(answer.outputs[0].text.strip(), self._name, len(answer.prompt_token_ids),
                           len(answer.outputs[0].token_ids), answer.outputs[0].finish_reason or 'unknown', seconds,
                           cost=None) for answer in answers]
