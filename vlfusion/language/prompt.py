"""Prompts: files `prompts/<name>.v<version>.md`, never changed once published; an improvement is a new version."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template

from vlfusion.errors import UnknownNameError, did_you_mean
from vlfusion.language.interfaces import Observation, Prompt
from vlfusion.language.words import place, share


@dataclass(frozen=True)
class PromptTemplate:
    """One version of a prompt. `body` holds `$modality` and `$observations`."""

    name: str
    version: int
    body: str

    @property
    def id(self) -> str:
        """Name and version, such as `paragraph@1`."""
        return f'{self.name}@{self.version}'

    @property
    def sha256(self) -> str:
        """The hash of the body."""
        return hashlib.sha256(self.body.encode()).hexdigest()

    def render(self, observations: Sequence[Observation], modality: str) -> Prompt:
        """The prompt about one image; boxes become words, so that an LLM has no coordinates to repeat.

        >>> seen = [Observation('A bright patch', box=(0.0, 0.0, 0.2, 0.2), area=0.04)]
        >>> PromptTemplate('short', 1, '$modality: $observations').render(seen, 'MRI').text
        'MRI: - A bright patch [upper left, a small part of the image]'
        """
        listed = '\n'.join(f'- {seen.text}{_bracket(seen)}' for seen in observations)
        text = Template(self.body).substitute(modality=modality, observations=listed)
        return Prompt(text, tuple(observations), modality)


@cache
def load_prompt(key: str) -> PromptTemplate:
    """The prompt of a name: its latest version, or the one after `@`.

    >>> load_prompt('paragraph@1').id
    'paragraph@1'

    Raises:
        UnknownNameError: there is no prompt of that name or version.
    """
    known, latest = {}, {}
    for file in files('vlfusion.language').joinpath('prompts').iterdir():
        if found := re.fullmatch(r'(\w+)\.v(\d+)\.md', file.name):
            name, version = found[1], int(found[2])
            known[f'{name}@{version}'] = (name, version, file)
            latest[name] = max(version, latest.get(name, 0))
    pinned = f'{key}@{latest[key]}' if key in latest else key
    if pinned not in known:
        raise UnknownNameError(f'There is no prompt {key!r}.', did_you_mean(key, [*latest, *known]))
    name, version, file = known[pinned]
    return PromptTemplate(name, version, file.read_text(encoding='utf-8'))


def _bracket(seen: Observation) -> str:
    facts = [place(seen.box)] if seen.box else []
    facts += [f'{share(seen.area)} of the image'] if seen.area is not None else []
    return f' [{", ".join(facts)}]' if facts else ''
