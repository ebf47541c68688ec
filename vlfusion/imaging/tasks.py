"""The table of fusion tasks: their two sources, and how colour is put back."""

from dataclasses import dataclass

from vlfusion.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Task:
    """One row of the table.

    Attributes:
        name: name in configs and on the command line.
        title: the task in words.
        modality_a: name of source A's modality, as a captioner reads it.
        modality_b: name of source B's modality; a data set may be more precise (`PET` for `CT, PET or SPECT`).
        chroma: default colour rule, a name in `vlfusion.registry.CHROMA_RULES`.
    """

    name: str
    title: str
    modality_a: str
    modality_b: str
    chroma: str


#: Tasks by name.
TASKS = {task.name: task for task in (
    Task('ivf', 'infrared-visible fusion', 'infrared', 'visible', 'visible'),
    Task('mif', 'medical image fusion', 'MRI', 'CT, PET or SPECT', 'visible'),
    Task('mef', 'multi-exposure fusion', 'over-exposed', 'under-exposed', 'weighted'),
    Task('mff', 'multi-focus fusion', 'near-focused', 'far-focused', 'weighted'),
)}


def get_task(name: str) -> Task:
    """The row of a task.

    >>> get_task('ivf').modality_a
    'infrared'

    Raises:
        ConfigError: no task has that name.
    """
    if not isinstance(name, str) or name not in TASKS:
        raise ConfigError(f'Unknown task {name!r}.', did_you_mean(name, TASKS))
    return TASKS[name]


task = get_task  # its former name
