"""ChatGPT, and any LLM behind a server that speaks OpenAI's chat protocol: vLLM, llama.cpp, transformers serve ..."""

from collections.abc import Iterable, Iterator, Sequence

from vlfusion.language.chat import Chat, chat_client, in_order
from vlfusion.language.interfaces import Completion, Prompt
from vlfusion.registry import LLMS


@LLMS.register_module()
class OpenAILLM:
    """Sends each prompt as one user message, several at a time.

    A prompt with a JSON schema tells the server so (`response_format`); an answer that does not fit is sent back once,
    and what comes then is the answer.

    Args:
        model: the model's name at the server.
        system: a system message that goes before the prompt.
        chat: the other arguments of `vlfusion.language.chat.ChatClient`, such as `base_url` and `api_key_env`.

    Attributes:
        client: the ChatClient, which counts tokens and cost.

    Raises:
        ConfigError: the package or the key is missing, or an argument makes no sense.
    """

    version = '1'

    def __init__(self, model: str, *, system: str | None = None, **chat):
        self._system = [{'role': 'system', 'content': system}] if system else []
        self.client = chat_client(type(self).__name__, model, chat)

    def stream(self, prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion | Exception]]:
        """Each answer with its prompt's position, as soon as it is there; see `ChatClient.stream`."""
        return self.client.stream(Chat([*self._system, {'role': 'user', 'content': prompt.text}], prompt.schema)
                                  for prompt in prompts)

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """One completion per prompt, in order.

        Raises:
            ChatError: the server refused a request, failed, or was not reached.
            BudgetError: the budget is spent.
            DataError: an answer is empty or unreadable.
        """
        return in_order(self.stream(prompts))
