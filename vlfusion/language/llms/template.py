"""An LLM stand-in without a model: joins what the captioners saw into one paragraph."""

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
    """Writes the observations one after the other: at most seven sentences, digits spelled out, the same every time.

    What concerns the whole image comes first, then its parts with their places. Where there are more observations than
    sentences, the later sentences take several, with semicolons between them. Of a pair it says what was
    seen in A, in B, and in both, each part beginning with its image.
    """

    version = '1'
    sentences = 7

    @staticmethod
    def self_contained(config: Mapping) -> bool:
        return True

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """One paragraph per prompt, from its observations.

        Raises:
            DataError: a prompt has no observations.
            ConfigError: a prompt asks for structure.
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
        # A captioner's own sentences are clauses here, so that seven stay seven.
        clauses = [re.sub(r'[.!?]+\s+', '; ', _located(observation)) for observation in ordered]
        clauses = list(dict.fromkeys(spell_digits(clause) for clause in clauses))
        count = min(sentences, len(clauses))
        size, surplus = divmod(len(clauses), count)
        rest = iter(clauses)
        # The surplus goes to the end, where the small things are.
        groups = [list(islice(rest, size + (index >= count - surplus))) for index in range(count)]
        return ' '.join(f'{_upper("; ".join([group[0], *map(_lower, group[1:])]))}.' for group in groups)


def _located(observation: Observation) -> str:
    """The text without its full stop, and with the place of its box where the text does not say it."""
    text = re.sub(r'[\s.!?;]+$', '', ' '.join(observation.text.split()))
    where = observation.box and place(observation.box)
    return f'{text} in the {where}' if where and where not in text else text


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _lower(text: str) -> str:
    """The text to go on with after a semicolon; an acronym such as MRI keeps its capitals."""
    return text if text[1:2].isupper() else text[0].lower() + text[1:]
