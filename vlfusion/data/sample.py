"""Simulated sample pairs for every task, made from images that ship with nilearn and scikit-image.

With them, new users, tests and documentation can run every command without a download. No infrared camera, scanner or
second exposure was involved, so scores on them do not show the quality of a method.
"""

import json
import os
from collections.abc import Callable
from functools import cache
from importlib import metadata, resources
from numbers import Real
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy.random import Generator

from vlfusion.errors import ConfigError, DataError, VLFusionError, listing
from vlfusion.files import file_digest, whole_folder
from vlfusion.imaging.images import read_image, write_image

MANIFEST = 'manifest.json'
MADE_BY = 'vlfusion prepare-data sample'
#: Version of the pictures. Raise it with every change, so that older folders are made again.
RECIPE = 1

#: Images of one pair, by the name of their folder.
Pair = dict[str, UInt8[np.ndarray, 'h w ...']]


def make_sample(out: str | os.PathLike, count: int = 12, size: int = 128) -> bool:
    """Write `out/<task>/{train,test}/<source>/sim_*.png` for every task, with a README and a manifest.

    The same arguments and package versions give the same bytes. The folder is either complete or absent.

    Args:
        out: a folder that does not exist, is empty, or was made by this function. If it was made with other settings
            or package versions, or has changed since, it is replaced, unless files were added to it.
        count: number of training pairs of each task, 1 to 75. A third of it, rounded up, are made for testing.
        size: height and width in pixels, 32 to 512.

    Returns:
        True if pairs were written; False if `out` already holds exactly these pairs.

    Raises:
        ConfigError: `count` or `size` is out of range.
        DataError: `out` holds files that this function did not make.
        VLFusionError: nilearn or scikit-image is not installed.
    """
    if not 1 <= count <= 75:
        raise ConfigError(f'Expected a count from 1 to 75 training pairs, got {count}.', 'The template has 100 slices.')
    if not 32 <= size <= 512:
        raise ConfigError(f'Expected a size from 32 to 512 pixels, got {size}.',
                          'The original photographs are hardly larger.')
    out = Path(out).resolve()
    recipe = {'made_by': MADE_BY, 'recipe': RECIPE, 'count': count, 'size': size, 'packages': _versions()}
    if manifest := _manifest(out):
        recorded, present = manifest.pop('files'), _digests(out)
        if manifest == recipe and recorded.items() <= present.items():
            return False
        if added := sorted(present.keys() - recorded.keys()):
            raise DataError(f'{out} must be made again, but holds files that `{MADE_BY}` did not write:\n'
                            f'{listing(added)}', 'Move them elsewhere, or choose another --out.')
    with whole_folder(out) as made:
        for number, (task, simulate) in enumerate(SIMULATORS.items()):
            for index in range(count + -(-count // 3)):
                split = 'train' if index < count else 'test'
                name, pair = simulate(index, split, size, np.random.default_rng([number, index]))
                for folder, image in pair.items():
                    write_image(made / task / split / folder / f'sim_{name}.png', image)
        (made / 'README.md').write_text(README, encoding='utf-8')
        (made / MANIFEST).write_text(json.dumps({**recipe, 'files': _digests(made)}, indent=1), encoding='utf-8')
    return True


# ---------------------------------------------------------------------------------------------------- the four tasks

SLICES = range(32, 132)  # axial, 1 mm apart: from the temporal poles to the vertex
GREY_TO_WHITE = 4  # uptake of glucose, as in the Hoffman brain phantom (Hoffman et al., IEEE TNS 1990)
FIELD_OF_VIEW = 233  # mm
# Colour tables in the style of brain atlases, RGB at equal steps of uptake.
PET_COLOURS = ((0, 0, 0), (0, 20, 110), (30, 100, 230), (120, 210, 160), (255, 255, 0), (255, 150, 0), (255, 0, 40),
               (255, 0, 220))
SPECT_COLOURS = ((0, 0, 0), (40, 70, 80), (60, 0, 130), (140, 40, 150), (220, 90, 90), (255, 120, 20), (255, 230, 190))


def _medical(index: int, split: str, size: int, rng: Generator) -> tuple[str, Pair]:
    """Return an axial slice of the MNI152 template, with a PET and a SPECT image simulated from its tissue maps."""
    axial = SLICES[index * 39 % len(SLICES)]  # 39 and 100 share no factor, so every slice comes once, well spread
    t1, grey, white = (cv2.resize(_centred(volume, axial), (size, size), interpolation=cv2.INTER_AREA)
                       for volume in _template())
    uptake = (grey + white / GREY_TO_WHITE) * (1 + 0.15 * _smooth_noise(rng, size, size / 8))
    return f'axial_{axial:03d}', {
        'MRI': _eight_bit(t1),
        'PET': _functional(uptake, grey, PET_COLOURS, 6.0, rng),
        'SPECT': _functional(uptake, grey, SPECT_COLOURS, 10.0, rng),
    }


def _functional(uptake: Float[np.ndarray, 'h w'], grey: Float[np.ndarray, 'h w'], colours: tuple, resolution: float,
                rng: Generator) -> UInt8[np.ndarray, 'h w 3']:
    """Simulate a scanner of a resolution (full width at half maximum, mm), with one hot spot in grey matter."""
    pixels_per_mm = len(uptake) / FIELD_OF_VIEW
    rows, columns = np.nonzero(grey > 0.5 * grey.max())
    chosen = rng.integers(len(rows))
    spot = _disc(len(uptake), rows[chosen], columns[chosen], 7 * pixels_per_mm)
    blurred = _blur(uptake + 0.8 * spot, resolution / 2.355 * pixels_per_mm)
    steps = np.linspace(0, blurred.max(), len(colours))
    return _eight_bit(np.dstack([np.interp(blurred, steps, table) for table in np.array(colours).T[::-1]]) / 255)


def _infrared_visible(index: int, split: str, size: int, rng: Generator) -> tuple[str, Pair]:
    """Return a horse at night: faint in the visible image, warm in the infrared one, which shows no texture."""
    wall, ground = (_texture(name, rng, size) for name in ('brick.png', ('grass.png', 'gravel.png')[index % 2]))
    ground_colour = ((0.20, 0.42, 0.26), (0.40, 0.42, 0.44))[index % 2]  # BGR
    below = (np.arange(size) > size * rng.uniform(0.45, 0.6))[:, None]
    horse = _silhouette(rng, size)
    lamp = _disc(size, 0.2 * size, rng.uniform(0.1, 0.9) * size, 0.35 * size)

    coat = np.full((size, size), 0.4, np.float32)
    reflectance = np.where(below[..., None], ground[..., None] * ground_colour, wall[..., None] * (0.28, 0.36, 0.60))
    reflectance = _mix(reflectance, coat[..., None] * (0.20, 0.26, 0.34), horse[..., None])
    visible = reflectance * (0.35 + 1.1 * lamp[..., None]) + rng.normal(0, 0.01, (size, size, 3))

    surroundings = np.where(below, 0.22 + 0.08 * _blur(ground, 1.5), 0.38 + 0.06 * _blur(wall, 2.0))
    body = 0.65 + 0.3 * _blur(horse, 0.04 * size)  # the trunk is warmer than the legs
    infrared = _blur(_mix(surroundings, body, horse), 0.6) + rng.normal(0, 0.008, (size, size))
    return f'night_{index:02d}', {'ir': _eight_bit(infrared), 'vi': _eight_bit(visible)}


def _multi_exposure(index: int, split: str, size: int, rng: Generator) -> tuple[str, Pair]:
    """Return a photograph four times too bright and four times too dark, by a 10-bit sensor and a gamma of 2.2."""
    name, photo = _photo(index, split, size, rng)

    def expose(stops: int) -> UInt8[np.ndarray, 'h w 3']:
        sensor = np.round((photo ** 2.2 * 2.0 ** stops).clip(0, 1) * 1023) / 1023
        return _eight_bit(sensor ** (1 / 2.2))
    return name, {'over': expose(2), 'under': expose(-2)}


def _multi_focus(index: int, split: str, size: int, rng: Generator) -> tuple[str, Pair]:
    """Return a photograph out of focus above or below a smooth, wavy boundary. The lower part counts as nearer."""
    name, photo = _photo(index, split, size, rng)
    nearness = np.linspace(-1, 1, size)[:, None] + 0.4 * _smooth_noise(rng, size, size / 8)
    near = (1 / (1 + np.exp(-12 * nearness)))[..., None]
    defocused = _blur(photo, size / 64)
    return name, {'near': _eight_bit(_mix(defocused, photo, near)), 'far': _eight_bit(_mix(photo, defocused, near))}


SIMULATORS: dict[str, Callable[[int, str, int, Generator], tuple[str, Pair]]] = {
    'ivf': _infrared_visible, 'mif': _medical, 'mef': _multi_exposure, 'mff': _multi_focus}


# ---------------------------------------------------------------------------------------------- their sources and tools

PHOTOS = {'train': ('astronaut.png', 'chelsea.png', 'rocket.jpg'), 'test': ('coffee.png',)}


def _photo(index: int, split: str, size: int, rng: Generator) -> tuple[str, Float[np.ndarray, 'h w 3']]:
    """Return a name and a random square part of a photograph in [0, 1]. Training and testing share no photograph."""
    file = PHOTOS[split][index % len(PHOTOS[split])]
    photo = read_image(_shipped(file))
    side = int(min(photo.shape[:2]) * rng.uniform(0.6, 1))
    top, left = (rng.integers(extent - side + 1) for extent in photo.shape[:2])
    part = cv2.resize(photo[top:top + side, left:left + side], (size, size), interpolation=cv2.INTER_AREA)
    return f'{Path(file).stem}_{index:02d}', part.astype(np.float32) / 255


def _texture(file: str, rng: Generator, size: int) -> Float[np.ndarray, 'h w']:
    """Return a random part, half as wide and high, of a grey texture in [0, 1]."""
    texture = cv2.resize(read_image(_shipped(file)), (2 * size, 2 * size), interpolation=cv2.INTER_AREA)
    top, left = rng.integers(size + 1, size=2)
    return texture[top:top + size, left:left + size].astype(np.float32) / 255


def _silhouette(rng: Generator, size: int) -> Float[np.ndarray, 'h w']:
    """Return a mask: 1 inside the horse, 0 outside, with a soft edge."""
    outline = 1 - cv2.cvtColor(read_image(_shipped('horse.png')), cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
    height = int(size * rng.uniform(0.4, 0.6))
    width = height * outline.shape[1] // outline.shape[0]
    horse = cv2.resize(outline, (width, height), interpolation=cv2.INTER_AREA)[:, ::rng.choice((-1, 1))]
    feet, left = int(size * rng.uniform(0.75, 0.95)), rng.integers(size - width + 1)
    canvas = np.zeros((size, size), np.float32)
    canvas[feet - height:feet, left:left + width] = horse
    return canvas


def _shipped(file: str) -> Path:
    """Return the path of an image in the installed scikit-image, because `skimage.data` itself may download."""
    path = Path(str(resources.files('skimage.data') / file))
    if not path.exists():
        raise DataError(f'The installed scikit-image does not include {path}.', "pip install -U 'vlfusion[sample]'")
    return path


@cache
def _template() -> tuple[Float[np.ndarray, 'x y z'], ...]:
    """Load the MNI152 brain: T1 image without skull, probability of grey and of white matter; 1 mm, in [0, 1]."""
    from nilearn.datasets import load_mni152_gm_template, load_mni152_template, load_mni152_wm_template
    return tuple(np.asarray(load(resolution=1).dataobj, np.float32)
                 for load in (load_mni152_template, load_mni152_gm_template, load_mni152_wm_template))


def _centred(volume: Float[np.ndarray, 'x y z'], axial: int) -> Float[np.ndarray, 'h w']:
    """Return one slice in a square field of view, with the front of the head at the top."""
    picture = np.rot90(volume[:, :, axial])
    margin = FIELD_OF_VIEW - picture.shape[1]
    return np.pad(picture, ((0, 0), (margin // 2, margin - margin // 2)))


def _disc(size: int, row: Real, column: Real, radius: float) -> Float[np.ndarray, 'h w']:
    """Return a Gaussian spot of height 1 that falls to 0.6 at the radius."""
    y, x = np.mgrid[:size, :size]
    return np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * radius ** 2))


def _smooth_noise(rng: Generator, size: int, scale: float) -> Float[np.ndarray, 'h w']:
    """Return noise of mean 0 and standard deviation 1 that varies over `scale` pixels."""
    noise = _blur(rng.standard_normal((size, size)), scale)
    return (noise - noise.mean()) / noise.std()


def _blur(image: Float[np.ndarray, 'h w *bgr'], sigma: float) -> Float[np.ndarray, 'h w *bgr']:
    return cv2.GaussianBlur(image, (0, 0), sigma)


def _mix(zero: np.ndarray, one: np.ndarray, weight: Float[np.ndarray, 'h w *one']) -> np.ndarray:
    return zero + weight * (one - zero)


def _eight_bit(image: Float[np.ndarray, 'h w *bgr']) -> UInt8[np.ndarray, 'h w *bgr']:
    return np.round(image.clip(0, 1) * 255).astype(np.uint8)


# -------------------------------------------------------------------------------------------- README and manifest

README = """# Simulated image pairs: no result on them means anything

Made by `vlfusion prepare-data sample` to try out commands. Every picture named `sim_*` is simulated: no infrared
camera, no PET or SPECT scanner and no second exposure or focus was involved. **Not for any clinical use**, and no
number computed on these pairs says how good a fusion method is. `manifest.json` holds the package versions and the
SHA-256 of each file.

| folder | what it is | from |
|---|---|---|
| `mif/*/MRI` | axial slice of the MNI152 T1 template, an average of 152 heads without skull | nilearn |
| `mif/*/PET` | simulated from the template's tissue maps: grey to white matter 4 to 1, one hot spot, 6 mm | nilearn |
| `mif/*/SPECT` | simulated in the same way, 10 mm; may be used instead of `PET` | nilearn |
| `ivf/*/vi` | simulated night scene: a wall, grass or gravel, a lamp, a horse that is hardly visible | scikit-image |
| `ivf/*/ir` | simulated infrared of that scene: the horse is warm, wall and ground show little texture | scikit-image |
| `mef/*/{over,under}` | a photograph, simulated two stops brighter and two stops darker | scikit-image |
| `mff/*/{near,far}` | a photograph, with simulated blur above or below a wavy boundary | scikit-image |

Training and test slices of `mif` come from one brain, and those of `ivf` from one generator.

## Sources and licences

* nilearn (BSD-3-Clause) carries the ICBM 152 nonlinear symmetric template of 2009, Copyright (C) 1993-2004 Louis
  Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill University, who permit use, copying,
  modification and distribution for any purpose without fee, provided that this copyright notice appears in all copies.
* scikit-image (BSD-3-Clause) documents its pictures: `astronaut` (NASA) and `rocket` (SpaceX) are in the public domain;
  `chelsea` (Stefan van der Walt), `coffee` (Rachel Michetti), `horse` (Andreas Preuss), `brick`, `grass` and `gravel`
  (CC0Textures, linolafett) are CC0.
"""


def _versions() -> dict[str, str]:
    """Return the package versions that the pictures depend on."""
    try:
        installed = {package: metadata.version(package) for package in ('nilearn', 'scikit-image')}
    except metadata.PackageNotFoundError as error:
        raise VLFusionError(f'The sample pairs are made from pictures inside {error.name}, which is not installed.',
                            "pip install 'vlfusion[sample]'") from error
    return {**installed, 'numpy': np.__version__, 'opencv': cv2.__version__}


def _digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below the folder except the manifest, by relative path."""
    return {path.relative_to(folder).as_posix(): file_digest(path)
            for path in sorted(folder.rglob('*')) if path.is_file() and path != folder / MANIFEST}


def _manifest(out: Path) -> dict | None:
    """Read the manifest of an earlier run; None if the folder is absent or empty."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding='utf-8'))
        ours = manifest['made_by'] == MADE_BY and isinstance(manifest['files'], dict)
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise DataError(f'{out} exists and was not made by `{MADE_BY}`.', 'Choose another --out, or move it away.')
    return manifest
