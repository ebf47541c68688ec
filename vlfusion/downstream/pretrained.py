"""Detectors and segmenters of the transformers library: with their own classes, with a new head, or from a config."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.interfaces import Picture
from vlfusion.downstream.networks import normalised
from vlfusion.errors import ConfigError, needs
from vlfusion.guards.foreign import foreign
from vlfusion.guards.redaction import without_secrets
from vlfusion.guards.remote_code import refuse_remote_code
from vlfusion.language.captioners.parts import load_transformers
from vlfusion.language.precision import torch_device, torch_dtype


def load_pretrained(part: str, auto: str, model: str | Mapping, classes: ClassTable, new_head: bool,
                    revision: str | None, device: str, dtype: str) -> tuple[Any, nn.Module, dict[int, str] | None]:
    """Load or build a model of transformers with its image processor.

    Args:
        part: name of the network's class, for messages.
        auto: the Auto class of transformers, such as `AutoModelForObjectDetection`.
        model: a folder, the id of a model on the hub, or a config of transformers with its `model_type`, whose weights
            are random.
        classes: classes of the labels, for a new head.
        new_head: True for random layers where the weights depend on the classes.
        revision, device, dtype: as for `vlfusion.language.captioners.parts.load_transformers`.

    Returns:
        The image processor, the model in evaluation mode, and the model's own class names by number, or None if its
        classes are those of the table.

    Raises:
        ConfigError: transformers is not installed, or the model cannot be loaded or built.
    """
    head = dict(enumerate(classes.names))
    if not isinstance(model, Mapping):
        processor, network = load_transformers(part, auto, model, revision, device, dtype,
                                               new_head=list(classes.names) if new_head else None)
        own = {int(number): name for number, name in network.config.id2label.items()}
        return getattr(processor, 'image_processor', processor), network, None if new_head else own
    refuse_remote_code(model, part)
    precision = torch_dtype(part, dtype)
    with needs(part, 'transformers', 'language,vision'):
        import transformers
        from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING
    try:
        settings = {'id2label': head, 'label2id': {name: number for number, name in head.items()}, **model}
        config = transformers.AutoConfig.for_model(settings.pop('model_type'), **settings)
        network = getattr(transformers, auto).from_config(config, dtype=precision, trust_remote_code=False)
        network = network.to(torch_device(device)).eval()
        processor = IMAGE_PROCESSOR_MAPPING[type(config)]['torchvision']()
    except Exception as error:  # settings that do not fit fail in many ways
        raise ConfigError(f'{part} cannot build the model {without_secrets(dict(model))!r:.300}: {error}',
                          "Write the config of transformers as model=dict(model_type='segformer', ...).") from error
    return processor, network, None


def model_type(part: str, model: str | Mapping, revision: str | None) -> str:
    """Return the `model_type` of a model of transformers, such as `segformer`; raise ConfigError if it has none."""
    if isinstance(model, Mapping):
        return str(model.get('model_type'))
    with needs(part, 'transformers', 'language,vision'):
        from transformers import AutoConfig
    with foreign(f'{part} cannot read the config of the model {model!r}', ConfigError,
                 'Give a folder or a model id of the hub. The first use loads it from the hub, or from a mirror that '
                 'HF_ENDPOINT names.'):
        return AutoConfig.from_pretrained(model, trust_remote_code=False,
                                          **({'revision': revision} if revision else {})).model_type


def processed(processor: Any, network: nn.Module, pictures: Sequence[Picture],
              size: tuple[int, int] | None) -> Mapping[str, Any]:
    """Prepare pictures of one size for a network, as its image processor says.

    Args:
        processor: the image processor.
        network: the network, for its device and precision.
        pictures: the pictures.
        size: height and width that the network sees; None for the processor's own rule.
    """
    options = {} if size is None else dict(size={'height': size[0], 'width': size[1]}, do_resize=True)
    inputs = processor(images=list(pictures), return_tensors='pt', input_data_format='channels_last', **options)
    return inputs.to(network.device, network.dtype)


def ready(processor: Any, pictures: Float[Tensor, 'batch 3 height width']) -> Float[Tensor, 'batch 3 height width']:
    """Normalise pictures in [0, 1] as the image processor does."""
    return normalised(pictures, processor.image_mean, processor.image_std) if processor.do_normalize else pictures
