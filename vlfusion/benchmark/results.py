"""Results of a comparison, as the report and the tables read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vlfusion.analysis.leaderboard import Leaderboard
from vlfusion.evaluation.rows import Row
from vlfusion.imaging.reading.rule import AS_STORED, Reading


@dataclass(frozen=True)
class PairResult:
    """One pair of a data set, and what the methods made of it.

    Attributes:
        name: of the pair, such as `CT-MRI/12`.
        source_a: the file of source A.
        source_b: the file of source B.
        fused: the file of each method's result, in colour where the sources have any; a method that failed has none.
        texts: what was said of the pair, under the heading that says of what: `source A`, `pair` ...
        readings: the rules by which the files of the sources are read.
        modalities: what the sources are; empty where the task's words will do.
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
        method: its name.
        height, width: of the images, in pixels.
        pairs: how many of this size were fused.
        parameters: how many weights the method has; 0 for a classical one.
        macs: multiplications with addition in convolutions and matrix products, for one pair; None where not known.
        seconds: the median time of one forward pass.
        memory: the most that a forward pass took beyond what the process held before, in bytes; None where not known.
        device: where it ran.
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
    """One data set of a comparison.

    Attributes:
        name: of the data set.
        task: `ivf`, `mif`, `mef` or `mff`.
        board: the methods compared, with controls and printed rows beside them.
        rows: the scores of each image, by method; those of the controls too, by `control: mean` and the like.
        pairs: sorted by name.
        costs: of the methods that ran here.
        robustness: for each way of scoring (an output policy, a metric's variant) the rank of each method by its mean
            over the metrics, NaN where it has none; the first way is the board's own.
        subsets: the boards of the subsets by name, where they were asked for.
    """

    name: str
    task: str
    board: Leaderboard
    rows: Mapping[str, list[Row]]
    pairs: list[PairResult]
    costs: list[Cost] = field(default_factory=list)
    robustness: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    subsets: Mapping[str, Leaderboard] = field(default_factory=dict)
