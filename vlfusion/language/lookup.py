"""Records of an image or a pair under a config, gathered from the text store for show, audit and export."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlfusion.errors import DataError
from vlfusion.language.interfaces import Observation
from vlfusion.language.keys import Content, Keys
from vlfusion.language.prompt import PromptTemplate
from vlfusion.language.records import observations, paragraph_of, texts_of
from vlfusion.language.section import section
from vlfusion.language.store import STAGES, TextStore
from vlfusion.language.subjects import Subject, content_of


@dataclass(frozen=True)
class Stored:
    """One record of an image or a pair.

    Attributes:
        key: its key in the text store.
        path: its file.
        record: what it holds; None if there is none, or if it is damaged.
        damage: why it cannot be read; empty if it can.
    """

    key: str
    path: Path
    record: dict | None
    damage: str = ''


@dataclass(frozen=True)
class Described:
    """A paragraph and what is known of its origin.

    Attributes:
        group: the data set and split, or the folder, that it is counted under.
        image: the image's file or those of the pair, or the text's own where that is all there is.
        content: what tells images apart: two with one content are the same image.
        text: the paragraph; None where it is not in the store.
        missing: the stages that have no record; None for a text that is from no store.
        seen: every word of the observations that the LLM read; None where they are not known.
        tokens: of the encoded paragraph.
        refusal: why the text encoder would not take the paragraph; empty if it does or was not asked.
        damage: why image or records cannot be read; empty if they can.
        texts: what the encoder reads one by one: the text itself, or those of a structured answer.
    """

    group: str
    image: str
    content: str
    text: str | None
    missing: tuple[str, ...] | None = None
    seen: str | None = None
    tokens: int | None = None
    finish_reason: str = ''
    modality: str = ''
    refusal: str = ''
    damage: str = ''
    texts: tuple[str, ...] = ()


class Records:
    """Records that the text store holds of images or pairs under the `language` section of a config."""

    def __init__(self, language: Mapping):
        self.store, self.keys = TextStore(section(language, 'store')), Keys(language)

    def stages(self, *images: Content) -> dict[str, list[Stored]]:
        """Every stage of an image or a pair; of a pair, observations may be several records."""
        keys = {'observations': [self.keys.observation(*scene) for scene in self.keys.scenes(*images)],
                'paragraphs': [self.keys.paragraph(*images)], 'features': [self.keys.feature(*images)]}
        return {stage: [self._stored(stage, key) for key in of_stage] for stage, of_stage in keys.items()}

    def _stored(self, stage: str, key: str) -> Stored:
        path = self.store.path(stage, key)
        try:
            return Stored(key, path, self.store.checked(stage, key) if self.store.has(stage, key) else None)
        except DataError as error:
            return Stored(key, path, None, error.problem)

    def described(self, group: str, subject: Subject) -> Described:
        """One image or pair, ready for `vlfusion.language.audit.check`."""
        modality = ' and '.join(image.modality for image in subject.images)
        try:
            content = content_of(subject)
            stages = self.stages(*content)
        except DataError as error:
            return Described(group, str(subject), str(subject), None, modality=modality, damage=error.problem)
        seen = [stored.record for stored in stages['observations']]
        [paragraph], [features] = ([stored.record for stored in stages[stage]] for stage in ('paragraphs', 'features'))
        written = paragraph or features
        missing = [stage for stage in STAGES
                   if any(stored.record is None and not stored.damage for stored in stages[stage])]
        return Described(
            group, str(subject), ' '.join(image.sha256 for image in content), paragraph_of(written),
            missing=tuple(missing),
            seen=None if None in seen else observed_text(
                [observation for record in seen for observation in observations(record)], modality),
            tokens=(features or {}).get('tokens'),
            finish_reason=(paragraph or {}).get('finish_reason', ''),
            modality=modality,
            damage=next((stored.damage for of_stage in stages.values() for stored in of_stage if stored.damage), ''),
            texts=texts_of(written) if written else ())


def observed_text(observations: Sequence[Observation], modality: str) -> str:
    """Text that an LLM reads of these observations, places and sizes in words included, without the prompt's rules."""
    return PromptTemplate('', 0, '$modality $observations').render(observations, modality).text
