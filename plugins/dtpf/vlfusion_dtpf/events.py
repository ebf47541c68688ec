"""Events of a text: what an LLM says is wrong with a pair, or must be kept, as lines that a program can read.

    Event Type: Low Light
    Description: The visible image is too dark to show the pedestrians.

    Event Type: High Noise
    Description: ...
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vlfusion.language.interfaces import TextFeatures
from vlfusion.registry import TEXT_ENCODERS


class Event(NamedTuple):
    """An event: its name in the form of a key, such as `low_light`, and its description."""

    name: str
    description: str


def parse_events(text: str) -> list[Event]:
    """Read the events of a text, in order. Line breaks may be missing, and Markdown's emphasis is removed.

    >>> parse_events('Event Type: Low Light\\nDescription: It is dark.\\n\\n**Event Type:** High-Noise')
    [Event(name='low_light', description='It is dark.'), Event(name='high_noise', description='')]
    >>> parse_events('A street at night.')
    []
    """
    events = []
    for part in re.split(r'event type\W*:', text.replace('*', ''), flags=re.IGNORECASE)[1:]:
        name, _, description = part.partition('Description:')
        name = re.sub(r'[^a-z0-9]+', '_', name.strip().partition('\n')[0].lower()).strip('_')
        if name:
            events.append(Event(name, ' '.join(description.split())))
    return events


@TEXT_ENCODERS.register_module()
class EventTextEncoder:
    """Text encoder that reads the names of a text's events and not their descriptions, as DTPF's code does.

    A text without events is read as it is.

    Args:
        encoder: config of the encoder of the names.

    Attributes:
        dim: features per row.
    """

    version = '1'

    @staticmethod
    def self_contained(config: Mapping) -> bool:
        encoder = dict(config.get('encoder'))
        entry = TEXT_ENCODERS.get(str(encoder.get('type')))
        return 'self_contained' in vars(entry) and entry.self_contained(encoder)

    def __init__(self, encoder: Mapping):
        self.encoder = TEXT_ENCODERS.build(dict(encoder))
        self.dim: int = self.encoder.dim

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Return the features of each text; errors as for the inner encoder."""
        return self.encoder.encode([names_of(text) for text in texts])


def names_of(text: str) -> str:
    """Return the names of a text's events as sentences; the text itself if it has none.

    >>> names_of('Event Type: Low Light\\nDescription: It is dark.\\nEvent Type: High Noise\\nDescription: Grain.')
    'Low light. High noise.'
    """
    names = [event.name.replace('_', ' ').capitalize() for event in parse_events(text)]
    return ' '.join(f'{name}.' for name in names) or text
