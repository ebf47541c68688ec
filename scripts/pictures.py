"""Draw the pictures of README and docs, and the result strips of plugins, from the simulated sample.

    python scripts/pictures.py                        # docs/pictures
    python scripts/pictures.py didfuse=didfuse-ivf    # plugins/didfuse/strip.webp, from a model by name or a checkpoint

All pairs are simulated, so the project may show them. Each file is smaller than 100 kB.
"""

import re
import sys
import tempfile
from contextlib import chdir
from pathlib import Path
from shutil import which

from PIL import Image
from playwright.sync_api import sync_playwright

from vlfusion import Fuser
from vlfusion.analysis.contact_sheet import contact_sheet, write_sheet
from vlfusion.cli import main as vlfusion
from vlfusion.data.sample import make_sample
from vlfusion.imaging.images import read_image, write_image
from vlfusion.imaging.video.file import VideoFile
from vlfusion.testing.videos import write_toy_video

ROOT = Path(__file__).parents[1]
OUT = ROOT / 'docs/pictures'
FILM = ROOT / 'configs/film/film_mif_sample.py'
#: Two instructions for the same pair.
INSTRUCTIONS = ('Show the PET more strongly on the left.', 'Make the picture much darker at the bottom.')
MOST_BYTES = 100_000
#: Folders of the sample's sources, by task.
SOURCES = {'ivf': ('ir', 'vi'), 'mif': ('MRI', 'PET'), 'mef': ('over', 'under'), 'mff': ('near', 'far')}


def run(*words) -> None:
    """Run one command line, and exit if it fails."""
    if code := vlfusion([str(word) for word in words]):
        sys.exit(f'vlfusion {words[0]} ended with {code}.')


def save(picture: Image.Image, path: Path) -> None:
    """Write a WebP file of less than `MOST_BYTES`."""
    for quality in (90, 80, 70, 60):
        picture.convert('RGB').save(path, quality=quality, method=6)
        if path.stat().st_size < MOST_BYTES:
            return
    sys.exit(f'{path} has {path.stat().st_size} bytes.')


def draw(path: Path, columns: dict[str, Path], name: str, text: str = '') -> None:
    """Write one row of a contact sheet: a picture for each column."""
    with tempfile.TemporaryDirectory() as folder:
        sheet = Path(folder) / 'sheet.png'
        write_sheet(contact_sheet(columns, [name], texts={name: text} if text else None), sheet, dpi=150)
        save(Image.open(sheet), path)


def instructed_strip(model: str, sample: Path, folder: Path) -> None:
    """Draw the sources, the fused image, and the fused image under each of two instructions."""
    sources = [sample / 'mif/test' / kind for kind in SOURCES['mif']]
    name = middle_name(sources[0])
    fuser = Fuser(model, modality_b='PET', store=folder / 'text')
    columns = dict(zip(SOURCES['mif'], sources, strict=True))
    for title, instruction in {'no instruction': None, '(1)': INSTRUCTIONS[0], '(2)': INSTRUCTIONS[1]}.items():
        columns[title] = folder / title
        fused = fuser(*(source / f'{name}.png' for source in sources), instruction=instruction)
        fused.save(columns[title] / f'{name}.png')
    draw(OUT / 'strip.webp', columns, name, '   '.join(f'({number}) "{instruction}"' for number, instruction in
                                                     enumerate(INSTRUCTIONS, 1)))


def sheet_picture(model: str, sample: Path, folder: Path) -> None:
    """Draw the contact sheet that a test writes."""
    pairs = ['--source-a', sample / 'mif/test/MRI', '--source-b', sample / 'mif/test/PET', '--modality-b', 'PET']
    run('describe', FILM, *pairs)
    run('test', FILM, model, *pairs, '--out', folder / 'test')
    sheet = Image.open(folder / 'test/sheet.png')
    save(sheet.crop((0, 0, sheet.width, min(sheet.height, sheet.width))), OUT / 'sheet.webp')


def words_picture(sample: Path, folder: Path) -> None:
    """Draw two pairs under no instruction and under two, with the words that guided the pictures."""
    source_a, source_b = (sample / 'mif/test' / kind for kind in SOURCES['mif'])
    columns = dict(zip(SOURCES['mif'], (source_a, source_b), strict=True))
    for title, instruction in {'no instruction': (), '(1)': INSTRUCTIONS[:1], '(2)': INSTRUCTIONS[1:]}.items():
        columns[title] = folder / 'told' / title
        run('fuse', 'film-guide-mif', source_a, source_b, '--modality-b', 'PET', '--describe', '-o', columns[title],
            *(word for sentence in instruction for word in ('--instruction', sentence)))
    sheet = folder / 'words.png'
    write_sheet(contact_sheet(columns, sorted(path.stem for path in source_a.iterdir())[:2], row_labels=True), sheet,
                dpi=150)
    save(Image.open(sheet), OUT / 'words_sheet.webp')


def report_picture(folder: Path) -> None:
    """Take a screenshot of the report of a comparison on 20 pairs, enough for significant differences."""
    make_sample(folder / 'many', count=60, size=192)
    plan = folder / 'plan.py'
    source_a, source_b = SOURCES['mif']
    plan.write_text(f'''
_base_ = [{str(ROOT / "configs/_base_/benchmark/classical.py")!r}]
title = 'FILM and classical methods on simulated brains'
methods = dict(FILM='film-mif')
datasets = dict(Simulated=dict(type='PairDataset', task='mif', data_root={str(folder / 'many/mif/test')!r},
                               source_a={source_a!r}, source_b={source_b!r}, modality_b={source_b!r}))
protocol = 'film'
''')
    run('benchmark', plan, '--out', folder / 'benchmark')
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=which('chromium'))
        page = browser.new_page(viewport={'width': 1100, 'height': 850})
        page.goto((folder / 'benchmark/report.html').as_uri())
        page.screenshot(path=folder / 'report.png')
        browser.close()
    save(Image.open(folder / 'report.png'), OUT / 'report.webp')


def video_picture(sample: Path, folder: Path) -> None:
    """Fuse two videos that pan over a simulated pair, and draw three of their frames."""
    source_a, source_b = SOURCES['ivf']
    name = middle_name(sample / 'ivf/test' / source_a)
    for source in (source_a, source_b):
        image = read_image(sample / 'ivf/test' / source / f'{name}.png')
        write_toy_video(folder / f'{source}.mkv', [image[60:180, 4 * n:4 * n + 160].copy() for n in range(25)])
    videos = {'infrared': folder / f'{source_a}.mkv', 'visible': folder / f'{source_b}.mkv',
              'fused': folder / 'fused.mkv'}
    run('fuse', 'laplacian', videos['infrared'], videos['visible'], '-o', videos['fused'], '--codec', 'ffv1')
    for title, video in videos.items():
        for frame in VideoFile(video).read():
            write_image(folder / title / f'{frame.number:02d}.png', frame.image)
    sheet = folder / 'video.png'
    write_sheet(contact_sheet({title: folder / title for title in videos}, ['01', '13', '25'], row_labels=True), sheet,
                dpi=100)
    save(Image.open(sheet), OUT / 'video.webp')


def colour_picture(sample: Path, folder: Path) -> None:
    """Draw one pair of exposures under each colour rule."""
    places = [sample / 'mef/test' / source for source in SOURCES['mef']]
    columns = dict(zip(('over-exposed (A)', 'under-exposed (B)'), places, strict=True))
    for rule in ('visible', 'weighted'):
        columns[f'{rule}'] = folder / rule
        run('fuse', 'mertens', *places, '-o', folder / rule, '--chroma', rule)
    draw(OUT / 'colour.webp', columns, middle_name(places[0]))


def downstream_picture(folder: Path) -> None:
    """Draw the hardest scenes of the example in docs/howto/downstream.md; takes two minutes."""
    page = (ROOT / 'docs/howto/downstream.md').read_text(encoding='utf-8')
    blocks = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    [scenes] = [block for block in blocks if 'draw_scenes(' in block]
    [study] = [block for block in blocks if block.startswith('# scenes.py')]
    with chdir(folder):
        exec(scenes, {})
        Path('scenes.py').write_text(study)
        run('downstream', 'test', 'scenes.py', '--out', 'study')
    sheet = Image.open(folder / 'study/worst.png')
    save(sheet.resize((sheet.width * 3 // 4, sheet.height * 3 // 4)), OUT / 'downstream.webp')


def plugin_strip(plugin: str, model: str, sample: Path, folder: Path) -> None:
    """Draw the sources of a simulated pair of the method's task, and the result of its weights."""
    fuser = Fuser(model)
    task = fuser.task
    places = [sample / task.name / 'test' / source for source in SOURCES[task.name]]
    name = middle_name(places[0])
    fuser(*(place / f'{name}.png' for place in places)).save(folder / f'{name}.png')
    titles = (task.modality_a, 'PET' if task.name == 'mif' else task.modality_b, type(fuser.model.backbone).__name__)
    draw(ROOT / 'plugins' / plugin / 'strip.webp', dict(zip(titles, [*places, folder], strict=True)), name)


def middle_name(folder: Path) -> str:
    """Return the name of the pair in the middle of a folder."""
    names = sorted(path.stem for path in folder.iterdir())
    return names[len(names) // 2]


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_sample(folder / 'sample', count=9, size=256)
        if not arguments:
            OUT.mkdir(exist_ok=True)
            instructed_strip('film-guide-mif', folder / 'sample', folder)
            sheet_picture('film-mif', folder / 'sample', folder)
            words_picture(folder / 'sample', folder)
            report_picture(folder)
            video_picture(folder / 'sample', folder)
            colour_picture(folder / 'sample', folder)
            downstream_picture(folder)
        for argument in arguments:
            plugin, _, model = argument.partition('=')
            plugin_strip(plugin, model, folder / 'sample', folder / plugin)


if __name__ == '__main__':
    main(sys.argv[1:])
