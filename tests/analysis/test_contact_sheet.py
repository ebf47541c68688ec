"""The figure of a paper: what its pictures, crops, boxes and texts hold, and the files that are written of it."""

import builtins
import re
import shlex
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from fonts import installer

from vlfusion.analysis.contact_sheet import COLOURS, Crop, contact_sheet, parse_crop, write_sheet
from vlfusion.cli import main
from vlfusion.data.words_record import write_words
from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.reading.rule import Reading
from vlfusion.testing.toys import draw_pairs

colors = pytest.importorskip('matplotlib.colors', reason="pip install 'vlfusion[benchmark]'")

COLUMNS = {'infrared': 'ir', 'visible': 'vi', 'Mean': 'mean'}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The working folder: three pairs of 56x48, and for each the mean in colour."""
    names = ['p0', 'p1', 'p2']
    draw_pairs(tmp_path, names)
    monkeypatch.chdir(tmp_path)
    Path('mean').mkdir()
    for name in names:
        cv2.imwrite(f'mean/{name}.png', cv2.imread(f'ir/{name}.png') // 2 + cv2.imread(f'vi/{name}.png') // 2)
    return tmp_path


@pytest.fixture
def install(tmp_path, monkeypatch):
    return installer(tmp_path, monkeypatch)


def shown(figure, kind):
    return [image for axes in figure.axes for image in axes.images if image.get_gid() == kind]


def texts(figure, kind):
    return [text.get_text() for text in figure.texts if text.get_gid() == kind]


def colour_of(patch):
    return colors.to_hex(patch.get_edgecolor()).upper()


def places(figure, kind):
    """Left, top, right and bottom of each image, in inches from the upper left corner."""
    width, height = figure.get_size_inches()
    boxes = [image.axes.get_position() for image in shown(figure, kind)]
    return [(box.x0 * width, (1 - box.y1) * height, box.x1 * width, (1 - box.y0) * height) for box in boxes]


def test_pictures_are_those_of_the_files_in_red_green_blue():
    figure = contact_sheet(COLUMNS, ['p2', 'p0.png'])
    pictures = [np.asarray(image.get_array()) for image in shown(figure, 'picture')]
    assert len(pictures) == 6 and not shown(figure, 'crop')
    for picture, path in zip(pictures, ('ir/p2', 'vi/p2', 'mean/p2', 'ir/p0', 'vi/p0', 'mean/p0'), strict=True):
        assert (picture == cv2.imread(f'{path}.png')[..., ::-1]).all(), path
    assert texts(figure, 'title') == list(COLUMNS) and not texts(figure, 'label')
    assert len(shown(contact_sheet(COLUMNS), 'picture')) == 9, 'all pairs'


def test_a_16_bit_image_is_scaled():
    for folder in ('ir', 'vi'):
        cv2.imwrite(f'{folder}/p0.png', np.full((48, 56), 0 if folder == 'ir' else 65535, np.uint16))
    cv2.imwrite('mean/p0.png', np.full((48, 56), 128 * 257 + 128, np.uint16))
    figure = contact_sheet(COLUMNS, ['p0'])
    assert [np.unique(image.get_array()).tolist() for image in shown(figure, 'picture')] == [[0], [255], [128]]


def test_a_column_is_read_by_its_rule():
    for name in ('p0', 'p1', 'p2'):
        cv2.imwrite(f'ir/{name}.png', cv2.imread(f'ir/{name}.png', 0).astype(np.uint16) + 7000)
    [picture, *_] = shown(contact_sheet(COLUMNS, ['p0'], readings={next(iter(COLUMNS)): Reading.of((7000, 7255))}),
                          'picture')
    assert (np.asarray(picture.get_array())[..., 0] == cv2.imread('ir/p0.png', -1) - 7000).all()


def test_crops_are_enlarged_whole_times():
    crop = Crop(10, 20, 8, 4)
    figure = contact_sheet(COLUMNS, ['p1'], [crop], dpi=100)
    enlarged = [np.asarray(image.get_array()) for image in shown(figure, 'crop')]
    for image, folder in zip(enlarged, COLUMNS.values(), strict=True):
        part = cv2.imread(f'{folder}/p1.png')[20:24, 10:18, ::-1]
        times = image.shape[0] // 4
        assert times == round((7.16 - 0.06) / 3 * 100 / 8)
        assert (image == part.repeat(times, 0).repeat(times, 1)).all()
    smooth = contact_sheet(COLUMNS, ['p1'], [crop], interpolation='cubic', dpi=100)
    assert len(np.unique(shown(smooth, 'crop')[0].get_array())) > len(np.unique(enlarged[0]))


def test_boxes_have_the_colour_of_their_crop():
    crops = [Crop(10, 20, 8, 4), Crop(0, 0, 5, 6)]
    figure = contact_sheet(COLUMNS, ['p1'], crops)
    for image in shown(figure, 'picture'):
        boxes = image.axes.patches
        assert [colour_of(box) for box in boxes] == list(COLOURS[:2])
        assert [(box.get_x() + 0.5, box.get_y() + 0.5, box.get_width(), box.get_height()) for box in boxes] == [
            (10, 20, 8, 4), (0, 0, 5, 6)]
    frames = [colour_of(patch) for image in shown(figure, 'crop') for patch in image.axes.patches]
    assert frames == list(COLOURS[:2]) * 3


@pytest.mark.slow
def test_a_row_with_crops_of_its_own_has_only_those():
    figure = contact_sheet(COLUMNS, ['p0', 'p1'], [parse_crop('1,2,8,8'), parse_crop('p1:3,4,10,5')])
    boxes = [box.get_x() + 0.5 for image in shown(figure, 'picture') for box in image.axes.patches]
    assert boxes == [1, 1, 1, 3, 3, 3]
    assert str(parse_crop('p1:3,4,10,5')) == 'p1:3,4,10,5' and parse_crop('a:b:1,2,3,4').row == 'a:b'


@pytest.mark.parametrize('crops', [[Crop(0, 0, 8, 8)], [Crop(0, 0, 8, 8), Crop(9, 9, 20, 5)], [Crop(0, 0, 2, 40)]])
def test_crops_below_keep_their_shape_and_overlap_nothing(crops):
    figure = contact_sheet(COLUMNS, ['p0', 'p1'], crops, row_labels=True)
    width, height = figure.get_size_inches()
    assert width == pytest.approx(7.16)
    boxes = places(figure, 'picture') + places(figure, 'crop')
    assert min(box[0] for box in boxes) > 0 and max(box[2] for box in boxes) == pytest.approx(width)
    assert min(box[1] for box in boxes) > 0 and max(box[3] for box in boxes) == pytest.approx(height)
    for i, one in enumerate(boxes):
        for other in boxes[i + 1:]:
            apart = max(one[0] - other[2], other[0] - one[2], one[1] - other[3], other[1] - one[3])
            assert apart > 0.01, 'a gap'
    shapes = [48 / 56] * 6 + [crop.height / crop.width for crop in crops] * 6
    assert [(box[3] - box[1]) / (box[2] - box[0]) for box in boxes] == pytest.approx(shapes)


@pytest.mark.slow
def test_crops_inside_stand_in_corners_that_hide_nothing():
    crops = [Crop(40, 30, 16, 16), Crop(0, 30, 16, 18)]  # at the lower right and the lower left
    figure = contact_sheet(COLUMNS, ['p0'], crops, inset='inside')
    picture, (first, second) = places(figure, 'picture')[0], places(figure, 'crop')[:2]
    assert first[1:3] == pytest.approx(picture[1:3]), 'upper right'
    assert second[:2] == pytest.approx(picture[:2]), 'upper left'
    assert (first[3] - first[1]) / (picture[3] - picture[1]) == pytest.approx(0.4)
    low = contact_sheet(COLUMNS, ['p0'], crops[:1], inset='below').get_size_inches()[1]
    assert figure.get_size_inches()[1] < low


def test_texts_fit():
    Path('other').mkdir()
    cv2.imwrite('other/p0.png', cv2.imread('ir/p0.png'))
    figure = contact_sheet({**COLUMNS, 'a method of a very long name': 'other'}, ['p0'], width=3.5,
                           row_labels=['a label that is long'])
    picture = places(figure, 'picture')[0]
    for text in figure.texts:
        extent = text.get_window_extent()
        room = picture[3] - picture[1] if text.get_gid() == 'label' else picture[2] - picture[0]
        assert max(extent.width, extent.height) / figure.dpi <= room * 1.02
    assert len({text.get_fontsize() for text in figure.texts}) == 1
    assert texts(figure, 'label') == ['a label that is long']
    assert texts(contact_sheet(COLUMNS, ['p1', 'p0'], row_labels=True), 'label') == ['p1', 'p0']


def test_words_stand_below_their_row():
    words = 'A warm horse stands before a cold brick wall, which only the visible image shows in any detail. ' * 3
    plain, figure = contact_sheet(COLUMNS), contact_sheet(COLUMNS, texts={'p1': words})
    lines = [text for text in figure.texts if text.get_gid() == 'words']
    assert ' '.join(line.get_text() for line in lines) == words.strip() and len(lines) > 2
    rows = [place[1::2] for place in places(figure, 'picture')[::3]]
    height = figure.get_size_inches()[1]
    for line in lines:
        box = line.get_window_extent()
        assert rows[1][1] < height - box.y1 / figure.dpi < height - box.y0 / figure.dpi < rows[2][0]
        assert box.x1 < figure.bbox.x1
    assert height > plain.get_size_inches()[1] and not texts(plain, 'words')
    with pytest.raises(ConfigError, match='belongs to no row'):
        contact_sheet(COLUMNS, texts={'p9': words})


def test_words_of_records_stand_below_their_row_clipped_and_said_to_be():
    Path('other').mkdir()
    for name in ('p0', 'p1', 'p2'):
        cv2.imwrite(f'other/{name}.png', cv2.imread(f'mean/{name}.png') // 2)
    seen = {'infrared': 'A warm horse stands before a cold brick wall that hides the road behind it. ' * 6}
    write_words({'p1': Path('mean/p1.png')}, {'p1': seen})
    write_words({'p1': Path('other/p1.png')}, {'p1': seen | {'instruction': 'Show the horse.'}})
    write_words({'p2': Path('other/p2.png')}, {'p2': {'instruction': 'Words of another picture.'}})
    cv2.imwrite('other/p2.png', np.zeros((48, 56), np.uint8))
    notes = []
    figure = contact_sheet({**COLUMNS, 'told': 'other'}, note=notes.append)
    first, *lines = texts(figure, 'words')
    assert first == 'told — instruction: Show the horse.', 'what differs comes first, with its columns'
    assert len(lines) == 2 and lines[0].startswith('Mean, told — infrared: A warm horse')
    assert lines[1].endswith(' …')
    assert notes == ['1 text below the pictures ends with an ellipsis after 2 lines; --words or words= gives more.']
    whole = texts(contact_sheet({**COLUMNS, 'told': 'other'}, words=99, note=notes.append), 'words')
    assert ' '.join(whole[1:]) == f'Mean, told — infrared: {seen["infrared"]}'.strip() and len(notes) == 1
    assert not texts(contact_sheet({**COLUMNS, 'told': 'other'}, words=0), 'words')
    assert texts(contact_sheet({**COLUMNS, 'told': 'other'}, texts={'p0': 'mine'}), 'words') == ['mine']


@pytest.mark.slow
def test_letters_of_any_script_have_a_font_or_one_line(install):
    """\ue8f0 to \ue8f2 are for private use: no font of this machine has them."""
    install('Strange', '\ue8f0\ue8f1')
    for path in [*Path('ir').iterdir(), *Path('vi').iterdir()]:
        path.rename(path.with_stem(f'{path.stem} \ue8f0'))
    notes = []
    columns = {'\ue8f1 $x_': 'ir', 'a\tb $y^': 'vi'}
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        figure = contact_sheet(columns, row_labels=True, note=notes.append)
        for ending in ('pdf', 'png', 'svg'):
            write_sheet(figure, f'out.{ending}')
        assert not notes and all('Strange' in text.get_fontfamily() for text in figure.texts)
        assert texts(figure, 'title') == ['\ue8f1 $x_', 'a b $y^'], 'dollars begin no formula'
        figure = contact_sheet({'\ue8f2': 'ir', 'b': 'vi'}, row_labels=['\ue8f2'] * 3, note=notes.append)
        write_sheet(figure, 'out.png')
    assert [note.startswith('No installed font has \ue8f2') for note in notes] == [True]


def test_a_suffix_of_all_files_is_left_out(capsys):
    for path in Path('mean').iterdir():
        path.rename(path.with_stem(f'{path.stem}_fused'))
    Path('words').mkdir()
    command = ['contact-sheet', '--source-a', 'ir', '--source-b', 'vi', 'mean', '--names', 'p1', '--out', 'x.png']
    assert main([*command, '--texts', 'words']) == 2 and 'words/p1.txt' in capsys.readouterr().err
    Path('words/p1.txt').write_text('A wall.\n')
    assert main([*command, '--texts', 'words']) == 0
    assert 'All names of mean (mean) end in _fused' in capsys.readouterr().err


def test_a_png_has_the_pixels_and_the_colours(place):
    figure = contact_sheet(COLUMNS, ['p0'], [Crop(10, 20, 8, 4)])
    write_sheet(figure, 'out/figure.png', dpi=300)
    image = cv2.imread('out/figure.png')[..., ::-1]
    width, height = figure.get_size_inches()
    assert abs(image.shape[1] - 300 * width) <= 1 and abs(image.shape[0] - 300 * height) <= 1
    expected = tuple(int(COLOURS[0][i:i + 2], 16) for i in (1, 3, 5))
    left, top, right, bottom = (round(300 * edge) for edge in places(figure, 'crop')[1])
    assert tuple(image[top + 2, (left + right) // 2]) == tuple(image[(top + bottom) // 2, left + 2]) == expected
    part = cv2.imread('vi/p0.png')[20:24, 10:18, ::-1]
    step = (right - left) / 8
    for row in range(4):
        for column in range(8):
            middle = image[round(top + (row + 0.5) * step), round(left + (column + 0.5) * step)]
            assert (middle == part[row, column]).all()
    left, top, right, bottom = (300 * edge for edge in places(figure, 'picture')[2])
    box = image[round(top + 20 / 48 * (bottom - top)), round(left + 14 / 56 * (right - left))]
    assert np.abs(box.astype(int) - expected).max() <= 3


@pytest.mark.slow
def test_a_pdf_has_text_and_the_pixels_of_the_files(place):
    figure = contact_sheet(COLUMNS, ['p0'], [Crop(10, 20, 8, 4)], row_labels=True)
    for name in ('one.pdf', 'two.pdf', 'one.svg', 'two.svg'):
        write_sheet(figure, name)
    content = Path('one.pdf').read_bytes()
    assert content == Path('two.pdf').read_bytes() and Path('one.svg').read_bytes() == Path('two.svg').read_bytes()
    assert content.startswith(b'%PDF-') and content.rstrip().endswith(b'%%EOF')
    start = int(re.search(rb'startxref\s+(\d+)', content)[1])
    assert content[start:start + 4] == b'xref', 'a reader finds its table'
    streams = [zlib.decompress(stream) for stream in re.findall(rb'FlateDecode.*?stream\r?\n(.*?)\r?\nendstream',
                                                               content, re.DOTALL)]
    page = next(stream for stream in streams if b' Do' in stream)
    words = [b''.join(re.findall(rb'\((.*?)\)', block)).replace(b'\0', b'').decode()
             for block in re.findall(rb'BT\n(.*?)ET', page, re.DOTALL)]
    assert set(words) == {*COLUMNS, 'p0'} and b'/ToUnicode' in content, 'text that can be searched'
    assert b'/FontFile2' in content and b'/Type3' not in content, 'TrueType'
    sizes = {(int(width), int(height)) for width, height in re.findall(rb'/Subtype /Image /Width (\d+) /Height (\d+)',
                                                                       content)}
    assert (56, 48) in sizes and all(width % 8 == 0 for width, _ in sizes)
    svg = Path('one.svg').read_text()
    assert all(f'>{title}</text>' in svg for title in (*COLUMNS, 'p0'))


@pytest.mark.parametrize(('options', 'error', 'message'), [
    (dict(names=['p0', 'p7']), DataError, "'p7' is in the list of names"),
    (dict(crops=[Crop(50, 0, 8, 8)], names=['p1']), ConfigError, '50,0,8,8 leaves p1, which is 56x48'),
    (dict(crops=[Crop(0, 0, 0, 8)]), ConfigError, '0,0,0,8 leaves p0'),
    (dict(crops=[Crop(0, 0, 8, 8, 'p7')]), ConfigError, 'p7:0,0,8,8 belongs to no row'),
    (dict(crops=[Crop(0, 0, 8, 8)] * 8), ConfigError, 'more than 7 crops'),
    (dict(crops=[Crop(0, 0, 8, 8)] * 5, inset='inside'), ConfigError, 'more than 4 crops'),
    (dict(dpi=0), ConfigError, 'with 0 dots an inch'),
    (dict(inset='bellow'), ConfigError, 'Did you mean below?'),
    (dict(interpolation='nerest'), ConfigError, 'Did you mean nearest?'),
    (dict(width=0.1), ConfigError, 'do not fit'),
    (dict(width=-1.), ConfigError, 'cannot be -1.0 inches'),
    (dict(row_labels=['one']), ConfigError, '1 row labels for 3 rows'),
])
def test_mistakes_are_named(options, error, message):
    with pytest.raises(error) as caught:
        contact_sheet(COLUMNS, **options)
    assert message in str(caught.value) and caught.value.remedy


def test_what_is_missing_or_damaged_is_listed():
    cv2.imwrite('mean/p0.png', np.zeros((8, 8), np.uint8))
    Path('vi/p1.png').write_bytes(b'no image')
    with pytest.raises(DataError) as caught:
        contact_sheet(COLUMNS)
    assert 'mean/p0.png is 8x8' in str(caught.value) and 'vi/p1.png' in str(caught.value)
    Path('mean/p2.png').unlink()
    with pytest.raises(DataError, match='p2.png .infrared. has no partner in Mean'):
        contact_sheet(COLUMNS, ['p2'])


def test_too_many_rows_need_names(monkeypatch):
    monkeypatch.setattr('vlfusion.analysis.contact_sheet.MOST_ROWS', 2)
    with pytest.raises(ConfigError, match='3 pairs, too many'):
        contact_sheet(COLUMNS)


def test_without_matplotlib_the_remedy_is_named(monkeypatch):
    ours = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.startswith('matplotlib'):
            raise ImportError(f'No module named {name!r}')
        return ours(name, *args, **kwargs)
    monkeypatch.setattr(builtins, '__import__', absent)
    with pytest.raises(ConfigError, match=r'vlfusion\[benchmark\]'):
        contact_sheet(COLUMNS)


def run(*options):
    return main(['contact-sheet', '--source-a', 'infrared=ir', '--source-b', 'vi', *options])


def test_the_verb(place, capsys):
    assert run('Mean=mean/{name}.*', '--names', 'p1', 'p0', '--crop', '4,6,16,16', '--crop', 'p0:1,1,8,8',
               '--inset', 'inside', '--row-labels', '--width', '3.5', '--dpi', '100',
               '--out', 'out/figure.pdf', 'out/figure.png', 'figure.svg') == 0
    assert capsys.readouterr().out.startswith('Wrote out/figure.pdf, out/figure.png, figure.svg: 3.5 x ')
    assert cv2.imread('out/figure.png').shape[1] == 350
    svg = Path('figure.svg').read_text()
    assert [svg.count(f'>{text}</text>') for text in ('infrared', 'vi', 'Mean', 'p1', 'p0')] == [1] * 5


@pytest.mark.parametrize(('options', 'message'), [
    (['Mean=mean', '--out', 'figure.jpg'], 'Available: .pdf, .png, .svg'),
    (['Mean=mean', '--crop', '1,2,3', '--out', 'figure.pdf'], "'1,2,3' is not a crop"),
    (['vi=mean', '--out', 'figure.pdf'], "Two columns have the title 'vi'"),
    (['nowhere', '--out', 'figure.pdf'], 'no image of nowhere fits nowhere/{name}.*'),
    (['Mean=mean', '--out', 'mean/p0.png/figure.pdf'], 'cannot be written'),
])
def test_mistakes_are_answered_with_a_remedy_and_exit_code_2(capsys, options, message):
    assert run(*options) == 2
    error = capsys.readouterr().err
    assert message in error and '->' in error and 'Traceback' not in error


@pytest.mark.slow
def test_the_script_is_the_verb(place, request):
    command = [sys.executable, str(request.config.rootpath / 'tools/contact_sheet.py'), '--source-a', 'ir',
               '--source-b', 'vi', 'mean', '--names', 'p0', '--out', 'figure.png']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and (place / 'figure.png').exists() and not done.stderr, done.stderr


@pytest.mark.slow
def test_the_page_works(request):
    """The command and the lines of docs/howto/contact_sheet.md, on pairs drawn here."""
    page = (request.config.rootpath / 'docs/howto/contact_sheet.md').read_text()
    for folder, names in (('PET-MRI', ['12', '25']), ('TNO', ['02', '05'])):
        draw_pairs(Path(folder), names, *(('MRI', 'PET') if folder == 'PET-MRI' else ('ir', 'vi')), size=(128, 140))
        for method in ('film', 'cddfuse'):
            for name in names:
                Path('out', method).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(f'out/{method}/{name}.png', np.full((128, 140), 9, np.uint8))
    command = shlex.split(page.partition('    vlfusion ')[2].partition('\n\n')[0].replace('\\\n', ' '))
    assert main(command) == 0 and Path('figure.png').exists()
    Path('figure.pdf').unlink()
    exec(page.partition('```python\n')[2].partition('```')[0], {})
    assert Path('figure.pdf').exists()
