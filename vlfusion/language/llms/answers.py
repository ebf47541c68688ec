"""Stand-in for an LLM without a model, which passes on the answers of captioners that were asked questions."""

import json
from collections.abc import Mapping, Sequence

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.interfaces import Completion, Prompt
from vlfusion.registry import LLMS


@LLMS.register_module()
class AnswersLLM:
    """Stand-in for an LLM that takes each observation, in order, as the answer to a question of the prompt.

    It is for vision chats that were asked the questions themselves, each by a captioner of its own. The questions are
    the properties of the prompt's JSON schema.
    """

    version = '1'

    @staticmethod
    def self_contained(config: Mapping) -> bool:
        return True

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Return the observations of each prompt as JSON.

        Raises:
            ConfigError: a prompt has no JSON schema of questions.
            DataError: a prompt has more or fewer observations than questions.
        """
        return [Completion(self._answers(prompt), f'AnswersLLM {self.version}', prompt_tokens=0, completion_tokens=0,
                           finish_reason='stop', seconds=0.0, cost=0.0) for prompt in prompts]

    def _answers(self, prompt: Prompt) -> str:
        questions = list((prompt.schema or {}).get('properties', ()))
        if not questions:
            raise ConfigError('AnswersLLM passes on answers, but the prompt asks no questions.',
                              "Use a prompt with a JSON schema, such as prompt='perception', or another LLM.")
        answers = [observation.text for observation in prompt.observations]
        if len(answers) != len(questions):
            raise DataError(f'The prompt asks {len(questions)} questions, but the captioners made {len(answers)} '
                            'observations of this image.', 'Give a captioner for each question, in the order of the '
                            f'schema: {", ".join(questions)}.')
        return json.dumps(dict(zip(questions, answers, strict=True)), ensure_ascii=False)
