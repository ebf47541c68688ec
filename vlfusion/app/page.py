"""The page: a model and the modalities above three tabs, for a pair, for two folders and for two volumes.

State is kept for each visitor (`gr.State`), never in globals. All work goes through one queue, one visitor at a time.
"""

from typing import Any

import gradio as gr

from vlfusion.app.desk import LIFETIME, QUICK, SWEEP, WORK, Desk, Header, with_messages
from vlfusion.app.folders_tab import FoldersTab
from vlfusion.app.models import Models, Settings, modality_choices, titles
from vlfusion.app.pair import presets
from vlfusion.app.pair_tab import PairTab, boxes
from vlfusion.app.remote import LocalBlocks
from vlfusion.app.volumes_tab import VolumesTab

_TITLE = '''# vlfusion
Two images of one scene go in, words about them guide how they are merged, one image comes out.'''


def theme() -> gr.themes.Base:
    """Return the look of the page, with fonts of the system, so that none is fetched."""
    look = gr.themes.Soft(primary_hue='teal', neutral_hue='slate', radius_size='md', spacing_size='sm',
                          font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace'])
    both = dict(block_title_background_fill='transparent', block_title_text_color='*body_text_color',
                block_label_background_fill='*block_background_fill', block_label_text_color='*body_text_color',
                button_primary_background_fill='*primary_700', button_primary_background_fill_hover='*primary_800',
                button_primary_text_color='white', input_border_width='1px', button_border_width='1px',
                checkbox_label_border_width='1px')
    return look.set(**both, **{f'{name}_dark': value for name, value in both.items()}, block_title_padding='0',
                    input_border_color='*neutral_300', input_border_color_dark='*neutral_600',
                    button_secondary_border_color='*neutral_300', button_secondary_border_color_dark='*neutral_600',
                    checkbox_label_border_color='*neutral_300', checkbox_label_border_color_dark='*neutral_600',
                    block_title_text_weight='600', body_text_color_subdued='*neutral_600',
                    body_text_color_subdued_dark='*neutral_300')


def build(desk: Desk) -> LocalBlocks:
    """Build the page.

    Args:
        desk: models, limits and folder of the page.
    """
    models = desk.models
    pairs, folders, volumes = PairTab(desk), FoldersTab(desk), VolumesTab(desk)
    choices = _choices(models, models.first)
    with LocalBlocks(title='vlfusion', analytics_enabled=False, delete_cache=(SWEEP, LIFETIME)) as blocks:
        gr.Markdown(_TITLE, elem_classes='vl-top')
        with gr.Row():
            model = gr.Dropdown(titles(models.names, models.entries), value=models.first, label='Model', scale=3,
                                min_width=320, elem_id='model')
            header = Header(model, *(
                gr.Dropdown(names, value=names[0], label=f'Source {side} is', allow_custom_value=True,
                            elem_id=f'modality-{side.lower()}') for side, names in zip('AB', choices, strict=True)))
        card = gr.Markdown(_card(models, models.first), elem_classes='vl-card')
        with gr.Tabs():
            with gr.Tab('Pair'):
                pairs.build(header, choices)
            with gr.Tab('Folders'):
                folders.build(header)
            with gr.Tab('Volumes'):
                volumes.build(header)

        instructions = [pairs.instructing, folders.instruction, volumes.instruction]

        def choose(name: str) -> list[Any]:
            names = _choices(models, name)
            return [*(gr.update(choices=each, value=each[0]) for each in names),
                    gr.update(choices=presets(*(each[0] for each in names)), value=None),
                    *boxes([], Settings(name, *(each[0] for each in names)))]

        def describe(name: str) -> list[Any]:
            reads_words, reads_instructions = models.reads(name)
            return [_card(models, name), gr.update(visible=reads_words),
                    *[gr.update(visible=reads_instructions)] * len(instructions)]

        # Modalities are those of the new model at once; the rest waits until it is loaded.
        model.change(with_messages(choose), model, [
            header.modality_a, header.modality_b, pairs.preset, *pairs.words_boxes], **QUICK)
        model.change(with_messages(describe), model, [card, pairs.words, *instructions], **WORK, show_progress='hidden')
    return blocks


def _choices(models: Models, name: str) -> list[list[str]]:
    """Return the words for the modality of each source of a model."""
    return [modality_choices(models.task(name), side) for side in 'ab']


def _card(models: Models, name: str) -> str:
    """Return the facts of a model in a line of Markdown."""
    fuser, entry = models.fuser(name), models.entries.get(name)
    facts = [f'**{fuser.task.title}**', *([entry.method.name] if entry else []),
             f'reads {" and ".join(fuser.text_dims) or "no text"}', f'protocol {fuser.protocol.name}',
             f'colour rule {fuser.chroma}', f'on {fuser.device}']
    return ' · '.join([*facts, f'weights: {entry.licence}'] if entry and entry.licence else facts)
