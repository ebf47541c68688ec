"""The tab for two folders: many pairs in, a zip archive out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from vlfusion.app import batch
from vlfusion.app.desk import (
    FITS,
    WORK,
    Desk,
    Header,
    bullets,
    code,
    in_rgb,
    message,
    plain,
    registration,
    remove,
    result_state,
    sentence,
    steps,
    with_messages,
)
from vlfusion.imaging.images import SUFFIXES


@dataclass
class FoldersTab:
    """The tab. `build` makes its components and events, `fuse` is its callback.

    Attributes:
        instruction: the box that only a model that reads instructions needs.
    """

    desk: Desk
    instruction: gr.Textbox | None = None

    def fuse(self, before: Any, uploads_a: Sequence[str] | None, uploads_b: Sequence[str] | None, *chosen: Any,
             progress: gr.Progress = gr.Progress()) -> list[Any]:  # noqa: B008  (Gradio looks for it there)
        """Fuse the pairs of two folders."""
        if not (uploads_a and uploads_b):
            raise message('Two folders are needed, but there is one or none.', 'Give the pictures of A and of B.')
        uploads = [[Path(path) for path in paths] for paths in (uploads_a, uploads_b)]
        with self.desk.work(keep=True) as folder:
            done = batch.fuse_folders(self.desk.models, self.desk.settings(*chosen), *uploads, folder, self.desk.limits,
                                      steps(progress))
            count = len(done.fused)
            failed = bullets([f'{name} was not fused: {why}' for name, why in done.failed.items()])
            lines = [f'{count} of {count + len(done.failed)} pairs fused.', failed, *map(plain, done.notes)]
            shown = [(in_rgb(path), name) for path, name in done.shown]
        remove(before)
        return [done, gr.update(visible=True), '\n\n'.join(filter(None, lines)), shown, str(done.archive),
                done.command]

    def build(self, header: Header) -> None:
        """Make components and events."""
        batches = result_state()
        gr.Markdown('Pictures of each source, or one zip archive of them. The two files of a pair share a name.',
                    elem_classes='vl-card')
        with gr.Row():
            folders = [gr.File(label=f'Pictures of source {side}', file_count='multiple', height=160,
                               file_types=[*SUFFIXES, '.zip'], elem_id=f'folder-{side.lower()}') for side in 'AB']
        with gr.Row():
            fit = gr.Radio(FITS, value='refuse', label='If sizes differ')
            register = registration()
        self.instruction = sentence('Instruction for all pairs',
                                    visible=self.desk.models.reads(header.model.value)[1])
        go = gr.Button('Fuse all pairs', variant='primary', elem_id='fuse-folders', elem_classes='vl-go')
        with gr.Column(visible=False) as result:
            lines = gr.Markdown(elem_id='folders-lines')
            archive = gr.DownloadButton('All pictures (ZIP)', elem_id='archive')
            gallery = gr.Gallery(label='The first results', columns=4, height=420, object_fit='contain',
                                 buttons=['fullscreen'], interactive=False, elem_id='gallery')
            command = code('shell', 'The same on the command line', 'folders-command')
        for event in (go.click, self.instruction.submit):
            event(with_messages(self.fuse), [batches, *folders, *header.all, fit, register, self.instruction],
                  [batches, result, lines, gallery, archive, command], **WORK, show_progress_on=[go])
