"""Common parts of captioners that run a model: load the model, check labels, prompt and numbers, form batches."""

from collections.abc import Callable, Mapping, Sequence
from string import Template
from typing import Any, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError, needs
from vlfusion.language.interfaces import Observation
from vlfusion.language.precision import torch_device, torch_dtype

Item = TypeVar('Item')
Result = TypeVar('Result')


def load_transformers(part: str, auto: str, model: str, revision: str | None, device: str, dtype: str, *,
                      new_head: Sequence[str] | None = None) -> tuple[Any, nn.Module]:
    """Load the processor and the model of a checkpoint, ready for inference.

    Args:
        part: the name of the captioner, for error messages.
        auto: the Auto class of transformers, such as `AutoModelForImageTextToText`.
        model: a folder, or the id of a model on the Hugging Face hub.
        revision: branch, tag or commit of a hub model.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        dtype: `float32`, `float16` or `bfloat16`.
        new_head: classes of a new head. Layers that depend on the classes, or that follow the checkpoint's network,
            then begin at random, to be trained.

    Raises:
        ConfigError: transformers is not installed, or the checkpoint cannot be loaded or lacks weights of the model.
    """
    precision = torch_dtype(part, dtype)
    with needs(part, 'transformers', 'language,vision'):
        import transformers
    options = dict(trust_remote_code=False, **({'revision': revision} if revision else {}))
    head = {} if new_head is None else dict(
        id2label=dict(enumerate(new_head)), label2id={name: number for number, name in enumerate(new_head)},
        ignore_mismatched_sizes=True)
    try:
        processor = transformers.AutoProcessor.from_pretrained(model, **options)
        network, report = getattr(transformers, auto).from_pretrained(
            model, dtype=precision, output_loading_info=True, **head, **options)
        network = network.to(torch_device(device)).eval()
    except Exception as error:  # a missing library, a damaged file and an absent device fail in many ways
        raise ConfigError(f'{part} cannot load the model {model!r}: {error}',
                          'Give a folder or a model id of the hub that holds a model of this kind with its processor, '
                          'and a device that exists. The first use loads it from the hub, or from a mirror that '
                          'HF_ENDPOINT names.') from error
    body = '' if new_head is None else f'{network.base_model_prefix}.'
    if missing := sorted(key for key in report['missing_keys'] if key.startswith(body)):
        raise ConfigError(f'The checkpoint {model!r} lacks {len(missing)} weights of a {type(network).__name__}, such '
                          f'as {missing[0]}; they would be random.', f'Give {part} a checkpoint of that class.')
    return processor, network


def check_labels(part: str, labels: Sequence[str]) -> list[str]:
    """Return the labels without outer blanks.

    Raises:
        ConfigError: the labels are not a list of strings, or the list is empty, or holds a blank label or one twice.
    """
    if not isinstance(labels, Sequence) or isinstance(labels, str) or not all(
            isinstance(label, str) for label in labels):
        raise ConfigError(f'The labels of {part} must be a list of words or phrases, but it got {labels!r}.',
                          "Write labels=['car', 'person'].")
    labels = [label.strip() for label in labels]
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if not labels or '' in labels or repeated:
        fault = f'{repeated[0]!r} twice' if repeated and repeated[0] else 'an empty one' if labels else 'none'
        raise ConfigError(f'The labels of {part} hold {fault}.', 'Give every label once.')
    return labels


def check_template(part: str, template: str, *variables: str, required: bool = False) -> Template:
    """Parse a prompt that may hold each `$variable`.

    Raises:
        ConfigError: the prompt holds another variable or a stray dollar sign, or a required variable is missing.
    """
    parsed, placeholders = Template(template), ' and '.join(f'${variable}' for variable in variables)
    if not parsed.is_valid() or set(parsed.get_identifiers()) - set(variables):
        raise ConfigError(f'The prompt {template!r} of {part} holds something that cannot be filled in.',
                          f'It may hold {placeholders}; a dollar sign is written $$.')
    if required and not parsed.get_identifiers():
        raise ConfigError(f'The template {template!r} of {part} has no place for {placeholders}.',
                          f"Write it as 'a photo of {placeholders}'.")
    return parsed


def check_numbers(part: str, whole: Mapping[str, int], shares: Mapping[str, float] | None = None) -> None:
    """Refuse counts below 1 and fractions outside [0, 1].

    Args:
        part: the name of the captioner, for error messages.
        whole: the name of each count -> its value.
        shares: the name of each fraction -> its value.

    Raises:
        ConfigError: a number is out of its range.
    """
    for name, value in whole.items():
        if value < 1:
            raise ConfigError(f'{name} of {part} must be a whole number from 1, but is {value!r}.',
                              f'Write {name}=1 or more.')
    for name, value in (shares or {}).items():
        if not 0 <= value <= 1:
            raise ConfigError(f'{name} of {part} must be a number from 0 to 1, but is {value!r}.',
                              f'Write {name}=0.3 or so.')


def in_batches(work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item], size: int) -> list[Result]:
    """Call `work` with at most `size` items at once; return the results of all items.

    >>> in_batches(sorted, [3, 1, 2], size=2)
    [1, 3, 2]
    """
    return [result for start in range(0, len(items), size) for result in work(items[start:start + size])]


def modality_variables(images: int) -> tuple[str, ...]:
    """Return the variables of a question: `modality`, or for both images of a pair `modality_a` and `modality_b`."""
    return ('modality',) if images == 1 else ('modality_a', 'modality_b')


def best(scores: Float[Tensor, 'batch label'], labels: Sequence[str], top_k: int,
         threshold: float) -> list[list[Observation]]:
    """Return the best labels of each image, best first: at most `top_k`, with scores of at least `threshold`."""
    values, indices = scores.cpu().topk(min(top_k, len(labels)), dim=1)
    return [[Observation(labels[index], score=min(value, 1.0))  # rounding may lift a softmax above one
             for value, index in zip(*of_image, strict=True) if value >= threshold]
            for of_image in zip(values.tolist(), indices.tolist(), strict=True)]
