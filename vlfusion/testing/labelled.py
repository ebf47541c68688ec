"""Labelled sets drawn in the layouts of published ones, with their quirks, to read them in a fast test."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from PIL import Image

from vlfusion.downstream.classes import ClassTable, get_classes
from vlfusion.testing.toys import draw_pairs

#: Height and width of the drawn images.
SIZE = (48, 64)
#: A box `(x0, y0, x1, y1)` in pixels from the corner of the image, and the number of its class.
NumberedBox = tuple[int, tuple[float, float, float, float]]
#: Two boxes that every drawn detection set has in every image that has things.
BOXES: tuple[NumberedBox, ...] = ((0, (8., 12., 24., 40.)), (1, (32., 6., 64., 30.)))


def write_yolo(path: str | os.PathLike, boxes: Iterable[NumberedBox], size: tuple[int, int] = SIZE) -> None:
    """Write boxes as YOLO's text, with six decimals as converters do."""
    height, width = size
    lines = [f'{number} {(x0 + x1) / 2 / width:.6f} {(y0 + y1) / 2 / height:.6f} {(x1 - x0) / width:.6f} '
             f'{(y1 - y0) / height:.6f}\n' for number, (x0, y0, x1, y1) in boxes]
    _write(path, ''.join(lines))


def write_voc(path: str | os.PathLike, boxes: Iterable[NumberedBox], names: Sequence[str],
              size: tuple[int, int] = SIZE, edges: bool = False, difficult: Iterable[int] = ()) -> None:
    """Write boxes as VOC's XML.

    Args:
        path: the file.
        boxes: the boxes.
        names: names of the classes.
        size: height and width of the image.
        edges: True to write the edges of boxes, as LLVIP does; False for pixels counted from 1.
        difficult: places in `boxes` of those that are marked difficult.
    """
    root, hard = ElementTree.Element('annotation'), set(difficult)
    stated = ElementTree.SubElement(root, 'size')
    for key, value in zip(('width', 'height', 'depth'), (*size[::-1], 3), strict=True):
        ElementTree.SubElement(stated, key).text = str(value)
    for index, (number, (x0, y0, x1, y1)) in enumerate(boxes):
        thing = ElementTree.SubElement(root, 'object')
        ElementTree.SubElement(thing, 'name').text = names[number]
        ElementTree.SubElement(thing, 'difficult').text = str(int(index in hard))
        box = ElementTree.SubElement(thing, 'bndbox')
        first = 0 if edges else 1
        for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), (x0 + first, y0 + first, x1, y1), strict=True):
            ElementTree.SubElement(box, key).text = f'{value:g}'
    ElementTree.indent(root)
    _write(path, ElementTree.tostring(root, 'unicode'))


def write_mask(path: str | os.PathLike, mask: np.ndarray, palette: Sequence[Sequence[int]] | np.ndarray = ()) -> None:
    """Write numbers of classes as an 8-bit PNG file, grey or with a palette."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask.astype(np.uint8))
    if len(palette):
        image.putpalette(np.array(palette, np.uint8).ravel().tolist())
    image.save(path)


def drawn_mask(classes: ClassTable, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return a mask of upright stripes, one for each class."""
    return np.broadcast_to(np.arange(size[1]) * len(classes) // size[1], size).astype(np.int64)


def draw_labelled(name: str, root: str | os.PathLike) -> None:
    """Draw a set of a few pairs as the config `downstream/NAME` reads it.

    Args:
        name: `m3fd`, `m3fd_xml`, `llvip`, `msrs_detection`, `msrs`, `mfnet` or `fmb`.
        root: folder that becomes the data root.
    """
    LAYOUTS[name](Path(root))


def _m3fd(root: Path) -> None:
    """Text and XML labels of the same boxes, which differ by VOC's count from 1."""
    for name in _m3fd_images(root, 'ir', 'vi'):
        write_yolo(root / f'labels/{name}.txt', BOXES)
        write_voc(root / f'Annotation/{name}.xml', BOXES, get_classes('M3FD').names)


def _m3fd_xml(root: Path) -> None:
    """The package of its authors."""
    for name in _m3fd_images(root, 'Ir', 'Vis'):
        write_voc(root / f'Annotation/{name}.xml', BOXES, get_classes('M3FD').names, edges=True)


def _m3fd_images(root: Path, source_a: str, source_b: str) -> list[str]:
    """Both images have three channels; the lists have no suffixes."""
    names = ['00000', '00001', '00002']
    draw_pairs(root, names, source_a, source_b, SIZE)
    _repeat_channels(root / source_a)
    _write(root / 'ImageSets/Main/trainval.txt', '00001\n00002\n')
    _write(root / 'ImageSets/Main/test.txt', '00000\n')
    return names


def _llvip(root: Path) -> None:
    """JPEG images in folders by split, all labels in one folder."""
    for split, names in (('train', ['010001', '010002']), ('test', ['190001'])):
        draw_pairs(root, names, f'infrared/{split}', f'visible/{split}', SIZE)
        for kind in ('infrared', 'visible'):
            _as_jpeg(root / kind / split)
        for name in names:
            write_voc(root / f'Annotations/{name}.xml', [(0, box) for _, box in BOXES], ['person'], edges=True)


def _msrs_detection(root: Path) -> None:
    """Numbers of COCO, and an image without things."""
    draw_pairs(root, ['00004N', '00024D'], size=SIZE)
    write_yolo(root / 'labels/00004N.txt', [(2 * number, box) for number, box in BOXES])
    write_yolo(root / 'labels/00024D.txt', [])


def _msrs(root: Path) -> None:
    """Numbers of classes beside pictures for the eye."""
    classes = get_classes('MSRS')
    for split, names in (('train', ['00001D', '00002N']), ('test', ['00003D'])):
        draw_pairs(root, names, f'{split}/ir', f'{split}/vi', SIZE)
        for name in names:
            mask = drawn_mask(classes)
            write_mask(root / f'{split}/Segmentation_labels/{name}.png', mask)
            colours = np.array(classes.palette, np.uint8)[mask]
            path = root / f'{split}/Segmentation_visualize/{name}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), colours[..., ::-1])


def _mfnet(root: Path) -> None:
    names = ['00001D', '00002N', '00003D']
    draw_pairs(root, names, 'infrared', 'visible', SIZE)
    for split, name in zip(('train', 'val', 'test'), names, strict=True):
        write_mask(root / f'label/{name}.png', drawn_mask(get_classes('MFNet')))
        _write(root / f'{split}.txt', f'{name}\n')


def _fmb(root: Path) -> None:
    for split, names in (('train', ['00001', '00002']), ('test', ['00003'])):
        draw_pairs(root, names, f'{split}/Infrared', f'{split}/Visible', SIZE)
        for name in names:
            write_mask(root / f'{split}/Label/{name}.png', drawn_mask(get_classes('FMB')))


#: Function that draws each set.
LAYOUTS: dict[str, Callable[[Path], None]] = {
    'm3fd': _m3fd, 'm3fd_xml': _m3fd_xml, 'llvip': _llvip, 'msrs_detection': _msrs_detection, 'msrs': _msrs,
    'mfnet': _mfnet, 'fmb': _fmb}


def _write(path: str | os.PathLike, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding='utf-8')


def _repeat_channels(folder: Path) -> None:
    for path in folder.iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_COLOR))


def _as_jpeg(folder: Path) -> None:
    for path in [*folder.iterdir()]:
        Image.open(path).save(path.with_suffix('.jpg'))
        path.unlink()
