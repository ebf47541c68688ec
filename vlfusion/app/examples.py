"""Example pairs of the page: those of the simulated sample, made when the first one is chosen."""

from importlib.util import find_spec
from pathlib import Path
from threading import Lock

from vlfusion.imaging.tasks import TASKS

#: Folders and modalities of the sources of each example, by task.
SOURCES = {'mif': ('MRI', 'PET'), 'ivf': ('ir', 'vi'), 'mef': ('over', 'under'), 'mff': ('near', 'far')}
SIZE = 192
_making = Lock()


def example_titles() -> dict[str, str]:
    """Return a title for the example of each task; empty if the sample cannot be made here."""
    if not all(find_spec(package) for package in ('nilearn', 'skimage')):
        return {}
    return {task: TASKS[task].title.removesuffix(' fusion').replace(' image', '') for task in SOURCES}


def example(task: str, folder: Path) -> tuple[Path, Path]:
    """Return both sources of the example of a task.

    Args:
        task: a key of `SOURCES`.
        folder: folder in which the sample is made once.

    Raises:
        VLFusionError: nilearn or scikit-image is not installed.
    """
    from vlfusion.data.sample import make_sample
    with _making:
        make_sample(folder, count=1, size=SIZE)
    return tuple(next((folder / task / 'test' / source).glob('*.png')) for source in SOURCES[task])
