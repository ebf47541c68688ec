"""Results of a comparison, from which report and tables are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vlfusion.analysis.leaderboard import Leaderboard
from vlfusion.evaluation.rows import Row
from vlfusion.imaging.reading.rule import AS_STORED, Reading


@dataclass(frozen=True)
class PairResult:
    """A pair of a data set, and the results of the methods.

    Attributes:
        name: name of the pair, such as `CT-MRI/12`.
        source_a: file of source A.
        source_b: file of source B.
        fused: file of each method's result, in colour if the sources have colour; a method that failed has no file.
        texts: texts about the pair, by their subject: `source A`, `pair` ...
        readings: rules by which the files of the sources are read.
        modalities: modalities of the sources; empty for those of the task.
    """

    name: str
    source_a: Path
    source_b: Path
    fused: Mapping[str, Path]
    texts: Mapping[str, str] = field(default_factory=dict)
    readings: tuple[Reading, Reading] = (AS_STORED, AS_STORED)
    modalities: tuple[str, str] = ('', '')


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Costs of a method for images of one size.

    Attributes:
        method: name of the method.
        height, width: size of the images, in pixels.
        pairs: number of fused pairs of this size.
        parameters: number of weights; 0 for a classical method.
        macs: multiply-adds of convolutions and matrix products for one pair; None if not known.
        seconds: median time of a forward pass.
        memory: peak bytes of a forward pass beyond those held before; None if not known.
        device: device on which the method ran.
    """

    method: str
    height: int
    width: int
    pairs: int
    parameters: int
    macs: int | None
    seconds: float
    memory: int | None
    device: str


@dataclass(frozen=True)
class SetResult:
    """Results on one data set of a comparison.

    Attributes:
        name: name of the data set.
        task: `ivf`, `mif`, `mef` or `mff`.
        board: comparison of the methods, with controls and printed rows below.
        rows: scores of each image, by method; controls are named like `control: mean`.
        pairs: pairs, sorted by name.
        costs: costs of the methods that ran here.
        robustness: mean rank of each method over the metrics (NaN if it has none), for each way of scoring: an output
            policy or a metric's variant; the first way is the board's own.
        subsets: leaderboards of the subsets by name, if the plan asks for them.
        chroma: name of the colour rule of the pictures; empty for that of the task.
    """

    name: str
    task: str
    board: Leaderboard
    rows: Mapping[str, list[Row]]
    pairs: list[PairResult]
    costs: list[Cost] = field(default_factory=list)
    robustness: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    subsets: Mapping[str, Leaderboard] = field(default_factory=dict)
    chroma: str = ''
