"""What the authors of a method released, so that a user can be told what to fetch and the file can be checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ReleasedWeights:
    """One set of released weights of a backbone, which lists its own in the class attribute `released`, by name.

    Attributes:
        files: the SHA-256 of each file by its name, in the order in which `convert_released` takes their contents.
        source: where a user gets them.
        licence: theirs; `none stated` where the authors say nothing.
        task: what their authors fuse with them: `ivf`, `mif`, `mef` or `mff`.
        protocol: how their authors make grey levels of an output, as `vlfusion.evaluation.protocol` names it.
        arguments: of the backbone that they fit.
    """

    files: Mapping[str, str]
    source: str
    licence: str
    task: str
    protocol: str = 'plain'
    arguments: Mapping = field(default_factory=dict)
