"""An LLM of your own: a program that reads a prompt from standard input and prints its answer."""

import shlex
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.interfaces import Completion, Prompt
from vlfusion.registry import LLMS


@LLMS.register_module()
class CommandLLM:
    """Any program with a language model behind it, such as `ollama run llama3.2` or `llm -m gpt-4o-mini`.

    Args:
        command: the program and its arguments. It is started for each prompt, without a shell.
        timeout: seconds after which an answer is given up.
    """

    version = '1'

    def __init__(self, command: str, timeout: float = 300.):
        self.command, self.timeout = shlex.split(command), timeout
        if not self.command:
            raise ConfigError('CommandLLM has no command.', "Give one, such as command='ollama run llama3.2'.")

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Answer the prompts in order; the first that fails ends this."""
        return [self._answer(prompt) for prompt in prompts]

    def stream(self, prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion | Exception]]:
        """Answer the prompts in order. An error concerns its own prompt, and the others are kept."""
        for number, prompt in enumerate(prompts):
            try:
                yield number, self._answer(prompt)
            except DataError as error:
                yield number, error

    def _answer(self, prompt: Prompt) -> Completion:
        began = time.perf_counter()
        try:
            done = subprocess.run(self.command, input=prompt.text, capture_output=True, text=True, encoding='utf-8',
                                  timeout=self.timeout)
        except FileNotFoundError:
            raise ConfigError(f'There is no program {self.command[0]!r}.', 'Install it or correct `command`.') from None
        except subprocess.TimeoutExpired:
            raise DataError(f'{self.command[0]} gave no answer in {self.timeout:g} s.', 'Raise `timeout`.') from None
        if done.returncode:
            raise DataError(f'{self.command[0]} ended with code {done.returncode}: {done.stderr.strip()[-200:]}',
                            'Run it by hand with a short prompt.')
        return Completion(done.stdout.strip(), ' '.join(self.command), None, None, 'stop',
                          time.perf_counter() - began, None)
