"""Prompts: files `<name>.v<version>.md`, never changed once published; an improvement is a new version.

A prompt with `$modality` and `$observations` is about one image. One with `$modality_a`, `$observations_a`,
`$modality_b` and `$observations_b` is about a pair; its `$observations` is what captioners said who saw both images at
once. Where a JSON schema lies beside it, `<name>.v<version>.json`, the answer has to fit that.
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
    """One version of a prompt. `body` holds placeholders, `schema` is that of its answer, None for prose."""

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
        """Tell whether it is about a pair instead of one image."""
        return not _OF_PAIR.isdisjoint(Template(self.body).get_identifiers())

    @property
    def id(self) -> str:
        """Name and version, such as `paragraph@1`."""
        return f'{self.name}@{self.version}'

    @property
    def sha256(self) -> str:
        """The hash of the body, and of the schema where there is one."""
        schema = '' if self.schema is None else json.dumps(self.schema, sort_keys=True)
        return hashlib.sha256((self.body + schema).encode()).hexdigest()

    def render(self, observations: Sequence[Observation], modality: str) -> Prompt:
        """The prompt about one image; boxes become words, so that an LLM has no coordinates to repeat.

        >>> observations = [Observation('A bright patch', box=(0.0, 0.0, 0.2, 0.2), area=0.04)]
        >>> PromptTemplate('short', 1, '$modality: $observations').render(observations, 'MRI').text
        'MRI: - A bright patch [upper left, a small part of the image]'
        """
        text = Template(self.body).substitute(modality=modality, observations=_listed(observations))
        return Prompt(text, tuple(observations), modality, self.schema)

    def render_pair(self, of_a: Sequence[Observation], of_b: Sequence[Observation], of_both: Sequence[Observation],
                    modalities: tuple[str, str]) -> Prompt:
        """The prompt about a pair, from the observations of A, of B, and of both at once.

        >>> template = PromptTemplate('short', 1, '$modality_a: $observations_a; $modality_b: $observations_b')
        >>> template.render_pair([Observation('A street')], [], [], ('infrared', 'visible')).text
        'infrared: - A street; visible: (nothing)'
        """
        a, b = modalities
        text = Template(self.body).substitute(
            modality=f'{a} and {b}', modality_a=a, modality_b=b, observations=_listed(of_both),
            observations_a=_listed(of_a), observations_b=_listed(of_b))
        named = (a, b) if a and b and a != b else (f'first {a}'.strip(), f'second {b}'.strip())
        observations = (*(replace(observation, modality=named[0]) for observation in of_a),
                        *(replace(observation, modality=named[1]) for observation in of_b), *of_both)
        return Prompt(text, observations, f'{a} and {b}', self.schema)


def load_prompt(key: str | os.PathLike) -> PromptTemplate:
    """The prompt of a name: its latest version, or the one after `@`; or a file of one's own.

    >>> load_prompt('paragraph@1').id
    'paragraph@1'

    Args:
        key: such as `paragraph`, `paragraph@1` or `prompts/mine.v1.md`.

    Raises:
        UnknownNameError: there is no prompt of that name or version.
        ConfigError: a file is missing, is not named like a prompt, or holds what cannot be filled in.
    """
    key = os.fspath(key)
    if key.endswith('.md'):
        return _read(Path(key))
    known, latest = _published()
    pinned = f'{key}@{latest[key]}' if key in latest else key
    if pinned not in known:
        raise UnknownNameError(f'There is no prompt {key!r}.',
                               did_you_mean(key, [*latest, *known]) + ' A file of your own is named by its path.')
    return known[pinned]


def published() -> list[PromptTemplate]:
    """The prompts that come with vlfusion, each in its latest version, by name."""
    known, latest = _published()
    return [known[f'{name}@{version}'] for name, version in sorted(latest.items())]


@cache
def _published() -> tuple[dict[str, PromptTemplate], dict[str, int]]:
    """The prompts that come with vlfusion by id, and the latest version of each name."""
    prompts = [_read(file) for file in Path(__file__).with_name('prompts').glob('*.md')]
    return ({prompt.id: prompt for prompt in prompts},
            {prompt.name: prompt.version for prompt in sorted(prompts, key=lambda prompt: prompt.version)})


def _read(file: Path) -> PromptTemplate:
    named = re.fullmatch(r'(\w+)\.v(\d+)\.md', file.name)
    if not named:
        raise ConfigError(f'The prompt {file} is not named by a word and a version.', 'Name it like mine.v1.md.')
    beside = file.with_suffix('.json')
    try:
        body = file.read_text(encoding='utf-8')
        schema = json.loads(beside.read_text(encoding='utf-8')) if beside.is_file() else None
    except (OSError, ValueError) as error:
        raise ConfigError(f'The prompt {file} cannot be read: {error}', 'Check the path, and the schema beside it.'
                          ) from error
    return PromptTemplate(named[1], int(named[2]), body, schema)


def _listed(observations: Sequence[Observation]) -> str:
    return '\n'.join(f'- {observation.text}{_bracket(observation)}' for observation in observations) or _NOTHING


def _bracket(observation: Observation) -> str:
    facts = [place(observation.box)] if observation.box else []
    facts += [f'{share(observation.area)} of the image'] if observation.area is not None else []
    return f' [{", ".join(facts)}]' if facts else ''
