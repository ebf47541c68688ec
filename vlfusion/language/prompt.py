"""Prompts: files `<name>.v<version>.md`. A published prompt never changes; an improvement is a new version.

A prompt with `$modality` and `$observations` is about one image. A prompt with `$modality_a`, `$observations_a`,
`$modality_b` and `$observations_b` is about a pair; its `$observations` are those of captioners that see both images at
once. A JSON schema beside the prompt, `<name>.v<version>.json`, is the schema of the answer.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from string import Template

from vlfusion.errors import ConfigError, UnknownNameError, did_you_mean
from vlfusion.language.interfaces import Observation, Prompt
from vlfusion.language.words import place, share

_OF_IMAGE = {'modality', 'observations'}
_OF_PAIR = {'modality_a', 'modality_b', 'observations_a', 'observations_b'}
_NOTHING = '(nothing)'


@dataclass(frozen=True)
class PromptTemplate:
    """One version of a prompt.

    Attributes:
        name: its name.
        version: its version, from 1.
        body: its text with placeholders.
        schema: the JSON schema of the answer; None for prose.

    Raises:
        ConfigError: the body holds an unknown placeholder or a stray dollar sign.
    """

    name: str
    version: int
    body: str
    schema: Mapping | None = None

    def __post_init__(self):
        template = Template(self.body)
        variables = set(template.get_identifiers())
        if not template.is_valid() or (variables - _OF_IMAGE if not self.of_pair else variables - _OF_PAIR - _OF_IMAGE):
            unknown = sorted(variables - _OF_PAIR - _OF_IMAGE) or sorted(variables) or ['a stray $']
            raise ConfigError(f'The prompt {self.id} holds {unknown[0]}, which cannot be filled in.',
                              'Write a dollar sign as $$; see vlfusion.language.prompt for the placeholders.')

    @property
    def of_pair(self) -> bool:
        """True if it is about a pair instead of one image."""
        return not _OF_PAIR.isdisjoint(Template(self.body).get_identifiers())

    @property
    def id(self) -> str:
        """Name and version, such as `paragraph@1`."""
        return f'{self.name}@{self.version}'

    @property
    def sha256(self) -> str:
        """The SHA-256 of the body, followed by the schema if there is one."""
        schema = '' if self.schema is None else json.dumps(self.schema, sort_keys=True)
        return hashlib.sha256((self.body + schema).encode()).hexdigest()

    def render(self, observations: Sequence[Observation], modality: str) -> Prompt:
        """Render the prompt about one image. Boxes become words, so that an LLM has no coordinates to repeat.

        >>> observations = [Observation('A bright patch', box=(0.0, 0.0, 0.2, 0.2), area=0.04)]
        >>> PromptTemplate('short', 1, '$modality: $observations').render(observations, 'MRI').text
        'MRI: - A bright patch [upper left, a small part of the image]'
        """
        text = Template(self.body).substitute(modality=modality, observations=_listed(observations))
        return Prompt(text, tuple(observations), modality, self.schema)

    def render_pair(self, of_a: Sequence[Observation], of_b: Sequence[Observation], of_both: Sequence[Observation],
                    modalities: tuple[str, str]) -> Prompt:
        """Render the prompt about a pair, from the observations of A, of B, and of both at once.

        >>> template = PromptTemplate('short', 1, '$modality_a: $observations_a; $modality_b: $observations_b')
        >>> template.render_pair([Observation('A street')], [], [], ('infrared', 'visible')).text
        'infrared: - A street; visible: (nothing)'
        """
        a, b = modalities
        text = Template(self.body).substitute(
            modality=f'{a} and {b}', modality_a=a, modality_b=b, observations=_listed(of_both),
            observations_a=_listed(of_a), observations_b=_listed(of_b))
        name_a, name_b = (a, b) if a and b and a != b else (f'first {a}'.strip(), f'second {b}'.strip())
        observations = (*(replace(observation, modality=name_a) for observation in of_a),
                        *(replace(observation, modality=name_b) for observation in of_b), *of_both)
        return Prompt(text, observations, f'{a} and {b}', self.schema)


def load_prompt(key: str | os.PathLike) -> PromptTemplate:
    """Load a prompt: the latest version of a name, the version after `@`, or your own file.

    >>> load_prompt('paragraph@1').id
    'paragraph@1'

    Args:
        key: a name or path, such as `paragraph`, `paragraph@1` or `prompts/mine.v1.md`.

    Raises:
        UnknownNameError: no prompt has that name or version.
        ConfigError: a file is missing, is not named like a prompt, or holds an unknown placeholder.
    """
    key = os.fspath(key)
    if key.endswith('.md'):
        return _read(Path(key))
    prompts, latest = _published()
    prompt_id = f'{key}@{latest[key]}' if key in latest else key
    if prompt_id not in prompts:
        raise UnknownNameError(f'There is no prompt {key!r}.',
                               did_you_mean(key, [*latest, *prompts]) + ' Name your own file by its path.')
    return prompts[prompt_id]


def published() -> list[PromptTemplate]:
    """Return the prompts that ship with vlfusion, each in its latest version, sorted by name."""
    prompts, latest = _published()
    return [prompts[f'{name}@{version}'] for name, version in sorted(latest.items())]


@cache
def _published() -> tuple[dict[str, PromptTemplate], dict[str, int]]:
    """Return the prompts that ship with vlfusion by their ids, and the latest version of each name."""
    prompts = [_read(file) for file in Path(__file__).with_name('prompts').glob('*.md')]
    return ({prompt.id: prompt for prompt in prompts},
            {prompt.name: prompt.version for prompt in sorted(prompts, key=lambda prompt: prompt.version)})


def _read(file: Path) -> PromptTemplate:
    match = re.fullmatch(r'(\w+)\.v(\d+)\.md', file.name)
    if not match:
        raise ConfigError(f'The prompt {file} is not named by a word and a version.', 'Name it like mine.v1.md.')
    schema_file = file.with_suffix('.json')
    try:
        body = file.read_text(encoding='utf-8')
        schema = json.loads(schema_file.read_text(encoding='utf-8')) if schema_file.is_file() else None
    except (OSError, ValueError) as error:
        raise ConfigError(f'The prompt {file} cannot be read: {error}', 'Check the path, and the schema beside it.'
                          ) from error
    return PromptTemplate(match[1], int(match[2]), body, schema)


def _listed(observations: Sequence[Observation]) -> str:
    return '\n'.join(f'- {observation.text}{_bracket(observation)}' for observation in observations) or _NOTHING


def _bracket(observation: Observation) -> str:
    facts = [place(observation.box)] if observation.box else []
    facts += [f'{share(observation.area)} of the image'] if observation.area is not None else []
    return f' [{", ".join(facts)}]' if facts else ''
