"""Models of open_clip, loaded without running code from their repositories."""

from typing import Any

from vlfusion.errors import ConfigError, needs
from vlfusion.guards.remote_code import names_remote_code


def load_open_clip(part: str, model: str, pretrained: str | None, **options: Any) -> tuple[Any, Any, Any]:
    """Load a model of open_clip with its trained weights, its image transform and its tokenizer.

    Args:
        part: the name of the captioner or encoder, for messages.
        model: an architecture of open_clip, `hf-hub:` with a model id, or `local-dir:` with a folder.
        pretrained: a tag of open_clip or the path of a checkpoint; not for `hf-hub:` and `local-dir:`.
        options: further arguments of `open_clip.create_model`, such as `device` and `precision`.

    Returns:
        The model in evaluation mode, the transform of images, and the tokenizer.

    Raises:
        ConfigError: open_clip is not installed, the model cannot be loaded or has no trained weights, or its settings
            ask to run code from its repository.
    """
    with needs(part, 'open_clip', 'vision'):
        import open_clip
    try:
        settings = open_clip.get_model_config(model)
        # A repository chooses the arguments of its tokenizer, and open_clip would pass trust_remote_code on.
        if names_remote_code(settings):
            raise ConfigError(f'The open_clip model {model!r} of {part} asks for trust_remote_code, which runs code '
                              'from its repository.', 'Use another model.')
        text = (settings or {}).get('text_cfg', {})
        if tower := text.get('hf_model_name'):  # else transformers asks on the terminal whether to run its code
            from transformers import AutoConfig
            AutoConfig.from_pretrained(tower, trust_remote_code=False)
        network, transform = open_clip.create_model_from_pretrained(model, pretrained, weights_only=True, **options)
        refusal = {'trust_remote_code': False} if text.get('hf_tokenizer_name') else {}
        return network.eval(), transform, open_clip.get_tokenizer(model, **refusal)
    except ConfigError:
        raise
    except Exception as error:  # unknown names, damaged files and absent devices fail in many ways
        raise ConfigError(f'{part} cannot load the open_clip model {model!r} with pretrained={pretrained!r}: {error}',
                          'Give a name of open_clip with one of its pretrained tags (open_clip.list_pretrained()), '
                          'hf-hub:org/name, or local-dir:folder; the device must exist.') from error
