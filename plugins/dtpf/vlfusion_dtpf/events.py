"""Events of a text: what an LLM says is wrong with a pair, or must be kept, as lines that a program can read.

    Event Type: Low Light
    Description: The visible image is too dark to show the pedestrians.

    Event Type: High Noise
    Description: ...
"""

import re
from collections.abc import Mapping, Sequence

from vlfusion.language.interfaces import TextFeatures
from vlfusion.registry import TEXT_ENCODERS


def parse_events(text: str) -> list[str]:
    """Read the names of a text's events, in order and as keys. Line breaks may be missing, Markdown's emphasis goes.

    >>> parse_events('Event Type: Low Light\\nDescription: It is dark.\\n\\n**Event Type:** High-Noise')
    ['low_light', 'high_noise']
    >>> parse_events('A street at night.')
    []
    """
    parts = re.split(r'event type\W*:', text.replace('*', ''), flags=re.IGNORECASE)[1:]
    names = (part.partition('Description:')[0].strip().partition('\n')[0].lower() for part in parts)
    return list(filter(None, (re.sub(r'[^a-z0-9]+', '_', name).strip('_') for name in names)))


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
    names = [name.replace('_', ' ').capitalize() for name in parse_events(text)]
    return ' '.join(f'{name}.' for name in names) or text
