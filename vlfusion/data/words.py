"""Words chosen for a config by a name: its `language` section, the texts that it reads, and their width."""

import os
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from vlfusion.data.from_config import text_entries, text_readers
from vlfusion.data.text import described
from vlfusion.guards.arguments import arguments_of
from vlfusion.language.recipes import Words, combine, find_words
from vlfusion.registry import BACKBONES


def use_words(config: Config, words: str | os.PathLike | Mapping, *, trained: bool = False,
              options: Mapping[str, Any] | None = None) -> str:
    """Let a config read and make the words of a recipe or of another config. The config is changed in place.

        config = vlfusion.load_config('film/film_mif')
        print(vlfusion.use_words(config, 'qwen-vl'))

    `vlfusion.language.recipes.combine` has the rule. Published features give way to descriptions. The width of a
    backbone that is yet to be trained follows the text encoder (`model.backbone.text_dim`).

    Args:
        config: a config as `load_config` returns it.
        words: name of a recipe, file or name of a config with a `language` section, or a section.
        trained: True if the model of the config has been trained, so that its text encoder stays.
        options: new values of the section by dotted key, such as `language.llm.base_url`.

    Returns:
        A note on what is used, for the user.

    Raises:
        UnknownNameError: neither a recipe nor a config has that name.
        ConfigError: a config is invalid, has no `language` section, or the options do not fit it.
    """
    chosen = find_words(words)
    language, note = combine(chosen, config.get('language'), trained=trained)
    config.language = language
    config.merge_from_dict(dict(options or {}))
    reads = bool(text_entries(config)) or _takes_text(config)
    for part in text_readers(config):
        if part.get('text_source'):
            part['text_source'] = described(part['text_source'])
    if reads and not text_entries(config):
        config.text_source = dict(chosen.text_source or dict(stream='pair/paragraph'))
    if reads and not trained:
        _follow_width(config, chosen)
    return note


def _takes_text(config: Config) -> bool:
    """Tell whether the backbone of a config reads text unless it is told otherwise."""
    backbone = config.get('model', {}).get('backbone')
    if not backbone:
        return False
    argument = arguments_of(BACKBONES.get(backbone['type']))[0].get('text_dim')
    return argument is not None and bool(backbone.get('text_dim', argument.default))


def _follow_width(config: Config, words: Words) -> None:
    """Set the width of the texts that a backbone reads, if it has a setting and the width is known."""
    backbone = config.get('model', {}).get('backbone')
    if not backbone or words.width is None or 'text_dim' not in arguments_of(BACKBONES.get(backbone['type']))[0]:
        return
    widths = backbone.get('text_dim')
    backbone['text_dim'] = dict.fromkeys(widths, words.width) if isinstance(widths, Mapping) else words.width
