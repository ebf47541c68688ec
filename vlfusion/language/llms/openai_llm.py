"""ChatGPT, and any LLM behind a server that speaks OpenAI's chat protocol: vLLM, llama.cpp, transformers serve ..."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from vlfusion.errors import ConfigError
from vlfusion.language.chat import ChatClient, Check, in_order
from vlfusion.language.interfaces import Completion, Prompt
from vlfusion.registry import LLMS


@LLMS.register_module()
class OpenAILLM:
    """Sends each prompt as one user message, several at a time.

    Args:
        model: the model's name at the server.
        system: a system message that goes before the prompt.
        json_schema: the answer is to be JSON of this schema. The server is told, the answer is checked, and one that
            does not fit is sent back once.
        chat: the other arguments of `vlfusion.language.chat.ChatClient`, such as `base_url` and `api_key_env`.

    Attributes:
        client: the ChatClient, which counts tokens and cost.

    Raises:
        ConfigError: a package or the key is missing, an argument makes no sense, or json_schema is not a JSON schema.
    """

    version = '1'

    def __init__(self, model: str, *, system: str | None = None, json_schema: Mapping | None = None, **chat):
        self._system = [{'role': 'system', 'content': system}] if system else []
        self._check = None
        if json_schema is not None:
            json_schema = json.loads(json.dumps(json_schema))
            self._check = schema_check(json_schema)
            wanted = {'type': 'json_schema', 'json_schema': {'name': 'answer', 'schema': json_schema}}
            chat['extra'] = {'response_format': wanted, **(chat.get('extra') or {})}
        self.client = ChatClient(model, **chat)

    def stream(self, prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion | Exception]]:
        """Each answer with its prompt's position, as soon as it is there; see `ChatClient.stream`."""
        chats = ([*self._system, {'role': 'user', 'content': prompt.text}] for prompt in prompts)
        return self.client.stream(chats, self._check)

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """One completion per prompt, in order.

        Raises:
            ChatError: the server refused a request, failed, or was not reached.
            BudgetError: the budget is spent.
            DataError: an answer is empty, unreadable or does not fit the schema.
        """
        return in_order(self.stream(prompts))


def schema_check(schema: Mapping) -> Check:
    """A function that says what keeps a text from being JSON of a schema, None if nothing does.

    >>> schema_check({'type': 'object', 'required': ['text']})('{}')
    "The answer does not fit the JSON schema: 'text' is a required property."

    Raises:
        ConfigError: jsonschema is not installed, or the schema is none.
    """
    try:
        import jsonschema
    except ImportError as error:
        raise ConfigError(f'json_schema needs the package jsonschema, which cannot be imported: {error}.',
                          "pip install 'vlfusion[openai]'") from error
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ConfigError(f'json_schema is not a JSON schema: {error.message}.', 'See json-schema.org.') from None
    validator = kind(schema)

    def check(text: str) -> str | None:
        try:
            value = json.loads(text)
        except ValueError as error:
            return f'The answer is not JSON: {error}.'
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        return error and f'The answer does not fit the JSON schema: {error.message[:300]}.'

    return check
