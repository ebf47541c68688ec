"""Stand-in for an LLM without a model, which joins the observations into one paragraph."""

import re
import time
from collections.abc import Mapping, Sequence
from itertools import islice

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.interfaces import Completion, Observation, Prompt
from vlfusion.language.words import place, spell_digits
from vlfusion.registry import LLMS


@LLMS.register_module()
class TemplateLLM:
    """Stand-in for an LLM that joins observations: at most seven sentences, digits spelled out, always the same.

    Observations of the whole image come first, then those of its parts with their places. If there are more
    observations than sentences, the later sentences hold several, with semicolons between them. For a pair it writes
    the observations of A, of B, and of both; each part begins with the name of its image.
    """

    version = '1'
    sentences = 7

    @staticmethod
    def self_contained(config: Mapping) -> bool:
        return True

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Return one paragraph per prompt, from its observations.

        Raises:
            DataError: a prompt has no observations.
            ConfigError: a prompt has a JSON schema.
        """
        completions = []
        for prompt in prompts:
            if prompt.schema is not None:
                raise ConfigError('TemplateLLM writes paragraphs, but the prompt asks for JSON.',
                                  "Use another LLM, or prompt='paragraph'.")
            start = time.perf_counter()
            text = self._text(prompt.observations)
            completions.append(Completion(text, f'TemplateLLM {self.version}', prompt_tokens=0, completion_tokens=0,
                                          finish_reason='stop', seconds=time.perf_counter() - start, cost=0.0))
        return completions

    def _text(self, observations: Sequence[Observation]) -> str:
        if not observations:
            raise DataError('No captioner observed anything in this image.', 'Add a captioner to the config.')
        by_modality: dict[str | None, list[Observation]] = {}
        for observation in observations:
            by_modality.setdefault(observation.modality, []).append(observation)
        sentences = max(1, self.sentences // len(by_modality))
        paragraphs = {modality: self._paragraph(part, sentences) for modality, part in by_modality.items()}
        return ' '.join(f'In the {modality} image: {_lower(text)}' if modality else text
                        for modality, text in paragraphs.items())

    def _paragraph(self, observations: Sequence[Observation], sentences: int) -> str:
        ordered = sorted(observations, key=lambda observation: observation.box is not None)
        # Sentences within an observation become clauses, so that the paragraph keeps its number of sentences.
        clauses = [re.sub(r'[.!?]+\s+', '; ', _located(observation)) for observation in ordered]
        clauses = list(dict.fromkeys(spell_digits(clause) for clause in clauses))
        count = min(sentences, len(clauses))
        size, surplus = divmod(len(clauses), count)
        rest = iter(clauses)
        # The last sentences, about small things, take the surplus.
        groups = [list(islice(rest, size + (index >= count - surplus))) for index in range(count)]
        return ' '.join(f'{_upper("; ".join([group[0], *map(_lower, group[1:])]))}.' for group in groups)


def _located(observation: Observation) -> str:
    """Remove the full stop, and add the place of the box if the text does not name it."""
    text = re.sub(r'[\s.!?;]+$', '', ' '.join(observation.text.split()))
    where = observation.box and place(observation.box)
    return f'{text} in the {where}' if where and where not in text else text


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _lower(text: str) -> str:
    """Begin a text in lower case, for use after a semicolon. An acronym such as MRI keeps its capitals."""
    return text if text[1:2].isupper() else text[0].lower() + text[1:]
