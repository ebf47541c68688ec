"""LLMs behind servers that speak OpenAI's chat protocol: ChatGPT, vLLM, llama.cpp, transformers serve ..."""

from collections.abc import Iterable, Iterator, Sequence

from vlfusion.language.chat.client import Chat, chat_client, in_order
from vlfusion.language.interfaces import Completion, Prompt
from vlfusion.registry import LLMS


@LLMS.register_module()
class OpenAILLM:
    """LLM that gets each prompt as one user message. Several requests run at a time.

    The JSON schema of a prompt is sent along (`response_format`). An answer that does not fit is sent back once; the
    second answer counts.

    Args:
        model: the model's name at the server.
        system: a system message before the prompt.
        chat: the other arguments of `vlfusion.language.chat.client.ChatClient`, such as `base_url` and `api_key_env`.

    Attributes:
        client: the ChatClient, which counts tokens and cost.

    Raises:
        ConfigError: the package or the key is missing, or an argument is out of range.
    """

    version = '1'

    def __init__(self, model: str, *, system: str | None = None, **chat):
        self._system = [{'role': 'system', 'content': system}] if system else []
        self.client = chat_client(type(self).__name__, model, chat)

    def stream(self, prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion | Exception]]:
        """Yield each answer with the position of its prompt, as soon as it arrives; see `ChatClient.stream`."""
        return self.client.stream(Chat([*self._system, {'role': 'user', 'content': prompt.text}], prompt.schema)
                                  for prompt in prompts)

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Return one completion per prompt, in order.

        Raises:
            ChatError: the server refused a request, failed, or was not reached.
            BudgetError: the budget is spent.
            DataError: an answer is empty or unreadable.
        """
        return in_order(self.stream(prompts))
