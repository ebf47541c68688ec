"""Report and plan of a run of the language stage."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vlfusion.errors import DataError, VLFusionError, listing
from vlfusion.language.interfaces import Completion
from vlfusion.language.subjects import Subject


@dataclass
class Report:
    """Images or pairs by result: described now, described before (or twice in the list), failed, or left."""

    done: list[Subject] = field(default_factory=list)
    skipped: list[Subject] = field(default_factory=list)
    failed: dict[Subject, Exception] = field(default_factory=dict)
    left: list[Subject] = field(default_factory=list)  # only after a stop
    repaired: list[Subject] = field(default_factory=list)  # subjects of `done` that had a damaged record

    def raise_if_failed(self) -> None:
        """Raise DataError, naming the images, if any failed."""
        if self.failed:
            total = len(self.done) + len(self.skipped) + len(self.failed) + len(self.left)
            raise DataError(f'{len(self.failed)} of {total} images could not be described:\n{self.failures()}',
                            'Fix what is named above and run again; finished descriptions are kept.')

    def failures(self) -> str:
        """List the failed subjects with their errors, on indented lines."""
        return listing(f'{subject}: {error if isinstance(error, VLFusionError) else repr(error)}'
                       for subject, error in self.failed.items())


@dataclass(frozen=True)
class Plan:
    """Work that a run would do: missing records by stage, and what the LLM would read and write.

    Attributes:
        subjects: number of images or pairs.
        missing: number of missing records of each stage.
        prompt_tokens: estimate of the tokens read, from four characters a token and the observations known so far.
        completion_tokens: estimate of the tokens written, from the paragraphs known so far.
        cost: estimate in US dollars; None unless the LLM's config has `price_prompt` and `price_completion`.
    """

    subjects: int
    missing: Mapping[str, int]
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


@dataclass
class Usage:
    """Tokens and cost in US dollars of the LLM in this run, as far as it reports them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.

    def add(self, completion: Completion) -> None:
        """Count one answer of the LLM."""
        self.prompt_tokens += completion.prompt_tokens or 0
        self.completion_tokens += completion.completion_tokens or 0
        self.cost += completion.cost or 0.
