"""Records of an image or a pair under a config, read from the text store for the verbs of `vlfusion text`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlfusion.errors import DataError
from vlfusion.language.interfaces import Observation
from vlfusion.language.keys import Content, Keys
from vlfusion.language.prompt import PromptTemplate
from vlfusion.language.records import observations, paragraph_of, texts_of
from vlfusion.language.section import section
from vlfusion.language.store import STAGES, open_store
from vlfusion.language.subjects import Subject, content_of


@dataclass(frozen=True)
class Stored:
    """Record of an image or a pair, or the place of a missing one.

    Attributes:
        key: its key in the text store.
        path: its file; for a missing one of a sharded store, the folder of its stage.
        record: its content; None if it is missing or damaged.
        damage: the reason why it cannot be read; empty if it is intact or missing.
    """

    key: str
    path: Path
    record: dict | None
    damage: str = ''


@dataclass(frozen=True)
class Described:
    """Paragraph with its origin.

    Attributes:
        group: the data set and split, or the folder, under which it is counted.
        image: the file of the image, the files of the pair, or the file of the text if no image is known.
        content: an identity of the image: equal contents are the same image.
        text: the paragraph; None if it is not in the store.
        missing: the stages without a record; None for a text that comes from no store.
        seen: the text of the observations that the LLM read; None if unknown.
        tokens: the number of tokens of the encoded paragraph; None if unknown.
        finish_reason: the reason why the LLM stopped; empty if unknown.
        modality: the modality of the image, or both of a pair.
        refusal: the reason why the text encoder refuses the paragraph; empty if it accepts it or was not tried.
        damage: the reason why the image or a record cannot be read; empty if all are readable.
        texts: the texts that the encoder reads one by one: the paragraph, or the texts of a structured answer.
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
    """Records of images or pairs in the text store, under the `language` section of a config."""

    def __init__(self, language: Mapping):
        self.store, self.keys = open_store(section(language, 'store')), Keys(language)

    def stages(self, *images: Content) -> dict[str, list[Stored]]:
        """Return the records of every stage of an image or a pair. A pair may have several records of observations."""
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
        """Return one image or pair in the form that `vlfusion.language.audit.check` reads."""
        modality = ' and '.join(image.modality for image in subject.images)
        try:
            content = content_of(subject)
            stages = self.stages(*content)
        except DataError as error:
            return Described(group, str(subject), str(subject), None, modality=modality, damage=error.problem)
        observed = [stored.record for stored in stages['observations']]
        [paragraph], [features] = ([stored.record for stored in stages[stage]] for stage in ('paragraphs', 'features'))
        written = paragraph or features
        missing = [stage for stage in STAGES
                   if any(stored.record is None and not stored.damage for stored in stages[stage])]
        return Described(
            group, str(subject), ' '.join(image.sha256 for image in content), paragraph_of(written),
            missing=tuple(missing),
            seen=None if None in observed else observed_text(
                [observation for record in observed for observation in observations(record)], modality),
            tokens=(features or {}).get('tokens'),
            finish_reason=(paragraph or {}).get('finish_reason', ''),
            modality=modality,
            damage=next((stored.damage for of_stage in stages.values() for stored in of_stage if stored.damage), ''),
            texts=texts_of(written) if written else ())


def observed_text(observations: Sequence[Observation], modality: str) -> str:
    """Return the text that an LLM reads of these observations: with places and sizes in words, without the prompt."""
    return PromptTemplate('', 0, '$modality $observations').render(observations, modality).text
