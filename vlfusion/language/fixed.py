"""Fixed texts, which are the same for every pair, such as an instruction. Each is encoded once into the text store."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import vlfusion
from vlfusion.language.interfaces import TextEncoder
from vlfusion.language.keys import Keys, identity
from vlfusion.language.section import section
from vlfusion.language.store import open_store
from vlfusion.registry import TEXT_ENCODERS


def encode_fixed(language: Mapping, texts: Sequence[str],
                 encoder: Callable[[], TextEncoder] | None = None) -> list[str]:
    """Encode the texts whose features are not in the store yet.

    Args:
        language: the `language` section of a config; only `store` and `encoder` are used.
        texts: the fixed texts.
        encoder: gives the section's encoder, which is needed if a text is new; by default one is built.

    Returns:
        The texts that were encoded now.

    Raises:
        ConfigError: the section has no store or encoder, or the encoder cannot be built.
        DataError: a text is longer than the encoder reads.
    """
    store, keys, missing = open_store(section(language, 'store')), Keys(language), missing_fixed(language, texts)
    if missing:
        built = encoder() if encoder else TEXT_ENCODERS.build(language['encoder'])
        encoded = built.encode(missing)
        for text, features, mask in zip(missing, encoded.features, encoded.mask, strict=True):
            array = features[mask].float().cpu().numpy()
            store.write('features', keys.fixed(text), {
                'text': text, 'fixed': True, 'encoder': identity(TEXT_ENCODERS, language['encoder']),
                'tokens': len(array), 'dim': array.shape[1],
                'date': datetime.now(UTC).isoformat(timespec='seconds'), 'vlfusion': vlfusion.__version__}, array)
    return missing


def missing_fixed(language: Mapping, texts: Sequence[str]) -> list[str]:
    """Return the texts whose features are missing or damaged in the store."""
    store, keys = open_store(section(language, 'store')), Keys(language)
    return [text for text in dict.fromkeys(texts) if not store.is_intact('features', keys.fixed(text))]
