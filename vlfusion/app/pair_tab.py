"""The tab for one pair: sources, words, the result from all sides, the same pair under other words."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from vlfusion.app import pair
from vlfusion.app.desk import (
    FITS,
    QUICK,
    WORK,
    Desk,
    Header,
    both,
    bullets,
    code,
    in_rgb,
    message,
    plain,
    registration,
    remove,
    result_state,
    sentence,
    with_messages,
)
from vlfusion.app.examples import example, example_titles
from vlfusion.app.models import Settings
from vlfusion.app.pictures import write_shown, zooming
from vlfusion.imaging.images import SUFFIXES, read_image
from vlfusion.imaging.protocol import PROTOCOLS


@dataclass(frozen=True)
class Answer:
    """Words that were made for a visitor, who may have changed the sources meanwhile.

    Attributes:
        words: the words.
        visitor: settings that they were made with.
        asked: values of sources, boxes, model and modalities when they were asked for.
    """

    words: list[str]
    visitor: Settings
    asked: tuple[Any, ...]


SOURCES = ['source A', 'source B']
_QUESTION = '**Did the text do anything?** Change the words, and see what the same model makes of the same pair.'


@dataclass
class PairTab:
    """The tab. `build` makes its components and events; the other methods are its callbacks.

    Attributes:
        words: components that only a model that reads words needs.
        instructing: components that only a model that reads instructions needs.
        preset: instructions to choose from.
        words_boxes: boxes for the words on each source.
    """

    desk: Desk
    words: gr.Column | None = None
    instructing: gr.Column | None = None
    preset: gr.Dropdown | None = None
    words_boxes: list[gr.Textbox] = field(default_factory=list)

    # ------------------------------------------------------------------------------------------------- callbacks

    def look(self, upload_a: str | None, upload_b: str | None, *chosen: Any) -> list[Any]:
        """Show both sources, and say whether they fit."""
        uploads = [Path(upload) if upload else None for upload in (upload_a, upload_b)]
        with self.desk.work() as folder:
            if not all(uploads):
                shown = [None if upload is None else self._alone(upload, folder) for upload in uploads]
                return [*shown, '- Give the other source too.' if any(uploads) else '', gr.update(visible=False)]
            facts = pair.look(self.desk.models, self.desk.settings(*chosen), uploads, folder, self.desk.limits)
            return [*map(in_rgb, facts.shown), bullets(facts.lines),
                    gr.update(visible=facts.sizes[0] != facts.sizes[1])]

    def _alone(self, upload: Path, folder: Path) -> Any:
        path = folder / upload.name
        pair.copy_upload(upload, path)
        with pair.without_folders(folder):
            pair.check_picture(path, self.desk.limits)
            return in_rgb(write_shown(folder / 'shown.png', read_image(path)))

    def example(self, task: str, model: str) -> list[Any]:
        """Take the example of a task, and a model for it."""
        models, paths = self.desk.models, example(task, self.desk.folder / 'sample')
        if task not in models.tasks(model):
            model = next((name for name in models.names if task in models.tasks(name)), model)
        return [model, *map(str, paths)]

    def read_words(self, upload_a: str | None, upload_b: str | None, words_a: str | None, words_b: str | None,
                   *chosen: Any) -> Answer:
        """Make the words of captioners and LLM, for `show_words`."""
        uploads, visitor = both(upload_a, upload_b), self.desk.settings(*chosen)
        with self.desk.work() as folder:
            words = pair.read_words(self.desk.models, visitor, uploads, folder, self.desk.limits)
        return Answer(words, visitor, (upload_a, upload_b, words_a, words_b, *chosen[:3]))

    def show_words(self, answer: Answer | None, *now: Any) -> list[Any]:
        """Show words, unless sources, model, modalities or boxes have changed since they were asked for."""
        if answer is None or answer.asked != now:
            return [gr.skip()] * 2
        return boxes(answer.words, answer.visitor)

    def fuse(self, before: Any, other: Any, upload_a: str | None, upload_b: str | None, words_a: str | None,
             words_b: str | None, against: str, minus: str, gain: float, *chosen: Any) -> list[Any]:
        """Fuse the pair, and show the result."""
        uploads, visitor = both(upload_a, upload_b), self.desk.settings(*chosen)
        with self.desk.work(keep=True) as folder:
            result = pair.fuse(self.desk.models, visitor, uploads, folder, self.desk.limits, _given(words_a, words_b))
            pictures = _shown(result)
        remove(before)
        remove(other)
        picture, record, *features = map(str, result.downloads)
        about = '\n\n'.join([result.costs, *map(plain, result.notes)])
        results = [result, None, gr.update(visible=True), gr.update(visible=False), self.slider(result, against),
                   zooming(pictures), about]
        files = [picture, record, gr.update(value=features[0] if features else None, visible=bool(features)),
                 result.command or '# Words of several texts have no option. The lines of Python give them.',
                 result.python]
        answer = Answer(result.words, visitor, (upload_a, upload_b, words_a, words_b, *chosen[:3]))
        return [*results, *files, answer, *self._others(result), gr.update(visible=False), '',
                *self.difference(result, minus, gain)]

    def _others(self, result: pair.Result) -> list[Any]:
        """Return updates of the boxes for other words: those that the model reads, with the words that it had."""
        reads_words, reads_instructions = self.desk.models.reads(result.settings.model)
        either = reads_words or reads_instructions
        texts = boxes(result.words, result.settings, 'Other words') if reads_words else [gr.update(visible=False)] * 2
        return [_QUESTION if either else 'This model reads no words, so they cannot do anything.', *texts,
                gr.update(value=result.settings.instruction, visible=reads_instructions), gr.update(visible=either)]

    def slider(self, result: pair.Result | None, against: str) -> Any:
        """Lay a source and the result over each other."""
        return result and (str(_shown(result)[against]), str(_shown(result)['fused']))

    def difference(self, result: pair.Result | None, against: str, gain: float) -> list[Any]:
        """Show where the result differs from a source."""
        if result is None:
            return [None, '']
        text, path = pair.difference(result, against[-1].lower(), gain)
        return [str(path), text]

    def fuse_again(self, result: pair.Result | None, before: Any, upload_a: str | None, upload_b: str | None,
                   words_a: str | None, words_b: str | None, instruction: str | None) -> list[Any]:
        """Fuse the same pair under other words, and show what they changed."""
        uploads = both(upload_a, upload_b)
        visitor = self.desk.models.readable(replace(self._needed(result).settings, instruction=instruction or ''))
        if not pair.has_sources(result, uploads):
            raise message('The sources have changed since the result.', 'Fuse the pair again first.')
        with self.desk.work(keep=True) as folder:
            words = [words_a or '', words_b or ''][:len(result.words)]
            other = pair.fuse(self.desk.models, visitor, uploads, folder, self.desk.limits, words)
            change = pair.change(result, other)
            pictures = zooming({'under its own words': _shown(result)['fused'],
                                'under the other words': _shown(other)['fused'],
                                **change.maps})
        remove(before)
        if (other.words, other.settings) == (result.words, result.settings):
            verdict = 'These are the words that it had.'
        else:
            verdict = f'The other words did {"nothing" if change.same else "something"}: {change}.'
        return [other, gr.update(visible=True), verdict, pictures, str(other.fused)]

    def score(self, result: pair.Result | None, protocol: str) -> str:
        """Show the scores of the result and of the controls."""
        return pair.score(self.desk.models, self._needed(result), protocol).table

    def _needed(self, result: pair.Result | None) -> pair.Result:
        if result is None:
            raise message('There is no result yet.', 'Fuse the pair first.')
        return result

    # ------------------------------------------------------------------------------------------------ components

    def build(self, header: Header, choices: Sequence[Sequence[str]]) -> None:
        """Make components and events.

        Args:
            header: components above the tabs.
            choices: words for the modality of each source.
        """
        result, other, answer = result_state(), result_state(), gr.State(None)
        reads_words, reads_instructions = self.desk.models.reads(header.model.value)
        examples = self._examples()
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                sources, shown, status, fit, swap, register = self._sources()
                with gr.Column(visible=reads_words) as self.words:
                    words_a, words_b = [
                        sentence(f'Words on source {side.upper()}', elem_id=f'words-{side}',
                                 placeholder='Left empty, captioner and LLM write them.') for side in 'ab']
                    self.words_boxes = [words_a, words_b]
                    read = gr.Button('Read the words that captioner and LLM make', size='sm', elem_id='read')
                with gr.Column(visible=reads_instructions) as self.instructing:
                    instruction = sentence('Instruction', elem_id='instruction',
                                           placeholder='such as: show the PET more strongly on the left')
                    self.preset = gr.Dropdown(pair.presets(*(names[0] for names in choices)), value=None,
                                              label='Or take one of these', elem_id='preset')
                go = gr.Button('Fuse', variant='primary', elem_id='fuse', elem_classes='vl-go')
            with gr.Column(scale=6, min_width=320):
                waiting = gr.Markdown('Give two pictures or take an example, then press **Fuse** or Enter.',
                                      elem_classes='vl-waiting')
                with gr.Column(visible=False, elem_id='result') as whole:
                    with gr.Tabs(overflow_behavior='wrap'):
                        with gr.Tab('Look'):
                            slider, against = self._look_at(result)
                        with gr.Tab('Zoom'):
                            zoomed = gr.HTML(elem_id='zoomed')
                        with gr.Tab('Difference') as tab:
                            difference, differing = self._difference(result, tab)
                        with gr.Tab('Words'):
                            others, changed = self._other_words(result, other, sources)
                        with gr.Tab('Metrics'):
                            table = self._metrics(result)
                        with gr.Tab('Files'):
                            files = self._files()
                    costs = gr.Markdown(elem_classes='vl-card', elem_id='costs')

        chosen = [*header.all, fit, register, instruction]
        look = dict(fn=with_messages(self.look), inputs=[*sources, *chosen], outputs=[*shown, status, fit], **WORK,
                    show_progress='minimal')
        no_words = dict(fn=lambda: ['', ''], inputs=None, outputs=self.words_boxes, **QUICK)
        # What the old sources showed is cleared first: the new ones may be refused.
        cleared = dict(fn=lambda: ['', '', None, None, ''], inputs=None, outputs=[*self.words_boxes, *shown, status],
                       **QUICK)
        for source in sources:
            source.upload(**cleared).then(**look)
            source.clear(**cleared).then(**look)
        swap.click(lambda a, b: [b, a], sources, sources, **QUICK).then(**cleared).then(**look)
        for component in (fit, register):
            component.input(**look)
        for component in header.all:
            component.change(**no_words)
        for task, button in examples.items():
            button.click(with_messages(partial(self.example, task)), header.model, [header.model, *sources], **WORK,
                         show_progress='minimal').success(**cleared).then(**look)
        self.preset.input(lambda chosen: chosen or gr.skip(), self.preset, instruction, **QUICK)
        # The second event of each reads the sources as they are when the words arrive. The path of an upload holds a
        # digest of its content, so equal paths are equal sources.
        now = [*sources, words_a, words_b, *header.all]
        arrive = dict(fn=self.show_words, inputs=[answer, *now], outputs=self.words_boxes, **QUICK)
        read.click(with_messages(self.read_words), [*now[:4], *chosen], answer, **WORK,
                   show_progress_on=self.words_boxes).success(**arrive)
        for event in (go.click, instruction.submit, words_a.submit, words_b.submit):
            event(with_messages(self.fuse), [result, other, *now[:4], against, *differing, *chosen],
                  [result, other, whole, waiting, slider, zoomed, costs, *files, answer, *others, changed, table,
                   *difference], **WORK, show_progress_on=[go, slider]).success(**arrive)

    def _examples(self) -> dict[str, gr.Button]:
        titles = example_titles()
        if not titles:
            return {}
        with gr.Row(elem_classes='vl-examples'):
            gr.Markdown('Examples, simulated:', elem_classes='vl-card')
            return {task: gr.Button(title, size='sm', min_width=90) for task, title in titles.items()}

    def _sources(self) -> tuple:
        with gr.Row():
            sources, shown = [], []
            for side in 'AB':
                with gr.Column(min_width=140):
                    sources.append(gr.File(label=f'Source {side}', file_types=[*SUFFIXES], height=120,
                                           elem_id=f'source-{side.lower()}', elem_classes='vl-source'))
                    shown.append(gr.Image(label=f'Source {side}, as it is', show_label=False, interactive=False,
                                          height=200, buttons=[], elem_id=f'shown-{side.lower()}',
                                          elem_classes='vl-fill'))
        status = gr.Markdown(elem_classes='vl-status', elem_id='status')
        fit = gr.Radio(FITS, value='refuse', label='The sizes differ', visible=False, elem_id='fit')
        with gr.Row(equal_height=True):
            swap = gr.Button('⇄ Swap A and B', size='md', min_width=120, elem_id='swap')
            register = registration(scale=2, elem_id='register')
        return sources, shown, status, fit, swap, register

    def _look_at(self, result: gr.State) -> tuple[gr.ImageSlider, gr.Radio]:
        against = gr.Radio(SOURCES, value='source A', label='Left of the slider', elem_id='against')
        slider = gr.ImageSlider(label='Source left, fused right', show_label=False, interactive=False, height=460,
                                buttons=['fullscreen'], elem_id='slider')
        against.input(with_messages(self.slider), [result, against], slider, **QUICK)
        return slider, against

    def _difference(self, result: gr.State, tab: gr.Tab) -> tuple[list[Any], list[Any]]:
        with gr.Row():
            against = gr.Radio(SOURCES, value='source A', label='Fused minus', elem_id='minus')
            gain = gr.Slider(1, 16, value=4, step=1, label='Gain', elem_id='gain', buttons=[])
        shown = gr.Image(label='Difference in luminance', show_label=False, interactive=False, height=420,
                         buttons=['fullscreen'], elem_id='difference', elem_classes='vl-fill')
        about = gr.Markdown(elem_id='about-difference')
        for event in (tab.select, against.input, gain.release):
            event(with_messages(self.difference), [result, against, gain], [shown, about], **WORK,
                  show_progress='minimal')
        return [shown, about], [against, gain]

    def _other_words(self, result: gr.State, other: gr.State, sources: list) -> tuple[list[Any], gr.Column]:
        question = gr.Markdown(elem_classes='vl-card', elem_id='question')
        texts = [*(sentence(f'Other words on source {side.upper()}', elem_id=f'other-{side}',
                            placeholder='the empty text') for side in 'ab'),
                 sentence('Other instruction', elem_id='other-instruction')]
        again = gr.Button('Fuse under these words', variant='primary', elem_id='again')
        with gr.Column(visible=False) as changed:
            verdict = gr.Markdown(elem_classes='vl-verdict', elem_id='verdict')
            beside = gr.HTML(elem_id='beside')
            picture = gr.DownloadButton('Picture under the other words', size='sm', elem_id='other-picture')
        for event in (again.click, *(text.submit for text in texts)):
            event(with_messages(self.fuse_again), [result, other, *sources, *texts],
                  [other, changed, verdict, beside, picture], **WORK, show_progress_on=[again])
        return [question, *texts, again], changed

    def _metrics(self, result: gr.State) -> gr.HTML:
        with gr.Row(equal_height=True):
            protocol = gr.Dropdown([*PROTOCOLS], value='plain', label='Protocol', elem_id='protocol')
            score = gr.Button('Score', variant='primary', elem_id='score')
        table = gr.HTML(elem_id='scores', apply_default_css=False)
        score.click(with_messages(self.score), [result, protocol], table, **WORK)
        return table

    def _files(self) -> list[Any]:
        with gr.Row():
            files = [gr.DownloadButton('Picture (PNG)', elem_id='picture'),
                     gr.DownloadButton('Record (JSON)', elem_id='record'),
                     gr.DownloadButton('Edited words (NPY)', visible=False, elem_id='features')]
        return [*files, code('shell', 'The same on the command line', 'command'),
                code('python', 'The same in Python', 'python')]


def _given(*words: str | None) -> list[str | None]:
    """Return the words of both boxes; None, which stands for the description, if a box is empty."""
    return [text if text and text.strip() else None for text in words]


def boxes(words: Sequence[str], visitor: Settings, title: str = 'Words') -> list[Any]:
    """Return updates of the boxes of both sources; one box is left if there is one paragraph on the pair."""
    if len(words) == 1:
        return [gr.update(value=words[0], label=f'{title} on the pair'), gr.update(value='', visible=False)]
    return [gr.update(value=words[number] if words else '', visible=True, label=f'{title} on source {about}')
            for number, about in enumerate((f'A, {visitor.modality_a}', f'B, {visitor.modality_b}'))]


def _shown(result: pair.Result) -> dict[str, Path]:
    """Return copies for the page: source A, the result, source B."""
    shown = {}
    for title, path in {'source A': result.a, 'fused': result.fused, 'source B': result.b}.items():
        copy = result.folder / f'shown_{path.name}'
        shown[title] = copy if copy.exists() else write_shown(copy, read_image(path))
    return shown
