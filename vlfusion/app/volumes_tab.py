"""The tab for two volumes: NIfTI files in, slices to look at, a NIfTI file out."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from vlfusion.app import volume
from vlfusion.app.desk import (
    QUICK,
    WORK,
    Desk,
    Header,
    both,
    bullets,
    code,
    remove,
    result_state,
    sentence,
    steps,
    with_messages,
)

_NO_COLOUR, _AS_ACQUIRED = 'none', 'as acquired'


@dataclass
class VolumesTab:
    """The tab. `build` makes its components and events; the other methods are its callbacks.

    Attributes:
        instruction: the box that only a model that reads instructions needs.
    """

    desk: Desk
    instruction: gr.Textbox | None = None

    def fuse(self, before: Any, upload_a: str | None, upload_b: str | None, colormap: str, axis: str, every: float,
             model: str, modality_a: str | None, modality_b: str | None, instruction: str | None,
             progress: gr.Progress = gr.Progress()) -> list[Any]:  # noqa: B008  (Gradio looks for it there)
        """Fuse two volumes, and show the slice in the middle."""
        uploads = both(upload_a, upload_b)
        visitor = self.desk.settings(model, modality_a, modality_b, '', '', instruction)
        with self.desk.work(keep=True) as folder:
            done = volume.fuse_uploads(
                self.desk.models, visitor, uploads, folder, self.desk.limits, step=steps(progress), every=int(every),
                colormap='' if colormap == _NO_COLOUR else colormap, axis='' if axis == _AS_ACQUIRED else axis)
        remove(before)
        middle = done.count // 2 + 1
        return [done, gr.update(visible=True), gr.update(maximum=max(2, done.count), value=middle),
                *self.slice(done, middle), bullets(done.lines), [str(path) for path in done.downloads], done.command]

    def slice(self, volumes: volume.FusedVolumes | None, index: float) -> list[Any]:
        """Show a slice of both sources and of the result."""
        return [None] * 3 if volumes is None else volumes.slice(min(int(index), volumes.count))

    def build(self, header: Header) -> None:
        """Make components and events."""
        volumes = result_state()
        gr.Markdown('Two NIfTI files. Source B comes onto the grid of source A by their headers; slices are fused one '
                    'by one. `vlfusion fuse` reads DICOM series too.', elem_classes='vl-card')
        with gr.Row():
            sources = [gr.File(label=f'Volume of source {side}', file_types=['.nii', '.gz'], height=120,
                               elem_id=f'volume-{side.lower()}') for side in 'AB']
        with gr.Row():
            colormap = gr.Dropdown([_NO_COLOUR, *volume.COLOURS], value='hot', label='Colours of source B')
            axis = gr.Dropdown([_AS_ACQUIRED, 'axial', 'coronal', 'sagittal'], value=_AS_ACQUIRED, label='Slices')
            every = gr.Slider(1, 32, value=8, step=1, label='Slices that share words', buttons=[])
        self.instruction = sentence('Instruction for all slices',
                                    visible=self.desk.models.reads(header.model.value)[1])
        go = gr.Button('Fuse the volumes', variant='primary', elem_id='fuse-volumes', elem_classes='vl-go')
        with gr.Column(visible=False) as result:
            index = gr.Slider(1, 2, value=1, step=1, label='Slice', elem_id='slice', buttons=[])
            with gr.Row():
                shown = [gr.Image(label=label, interactive=False, height=300, buttons=['fullscreen'], min_width=100,
                                  elem_id=f'slice-{name}', elem_classes='vl-fill')
                         for name, label in {'a': 'Source A', 'b': 'Source B', 'fused': 'Fused'}.items()]
            lines = gr.Markdown(elem_classes='vl-status')
            files = gr.File(label='The fused volume and its record', interactive=False, elem_id='volume-files')
            command = code('shell', 'The same on the command line', 'volumes-command')
        for event in (go.click, self.instruction.submit):
            event(with_messages(self.fuse), [volumes, *sources, colormap, axis, every, *header.all, self.instruction],
                  [volumes, result, index, *shown, lines, files, command], **WORK, show_progress_on=[go])
        index.change(with_messages(self.slice), [volumes, index], shown, **QUICK, trigger_mode='always_last')
