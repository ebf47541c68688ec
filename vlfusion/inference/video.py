"""Fuse two videos, or folders of numbered frames, into a video or a folder of numbered pictures.

One thread decodes both sources and describes scenes, two prepare frames, this one runs the network, two add colour, and
one encodes.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from vlfusion.console.notes import new_run, note
from vlfusion.console.progress import ShowProgress
from vlfusion.data.pairs import Pair
from vlfusion.data.sequences import frame_rate_of, open_sequences
from vlfusion.errors import ConfigError
from vlfusion.guards.outputs import check_outputs
from vlfusion.guards.ranges import FINITE
from vlfusion.imaging.images import write_image
from vlfusion.imaging.video.file import SUFFIXES, is_video
from vlfusion.imaging.video.frame import Frame, common_aspect
from vlfusion.imaging.video.pairing import Pairing
from vlfusion.imaging.video.pictures import NumberedNames, numbered_names, write_frames
from vlfusion.imaging.video.scenes import SceneChanges
from vlfusion.imaging.video.writing import Sound, check_target, write_video
from vlfusion.inference.folders import open_fuser, tell_model
from vlfusion.system.workers import in_order, read_ahead
from vlfusion.zoo.names import require_model

if TYPE_CHECKING:
    from vlfusion.imaging.picture import Fused
    from vlfusion.inference.fuser import Fuser, PairInMemory

PathLike = str | os.PathLike
#: Pairs of frames that are decoded ahead of the network, and fused frames that wait for the encoder.
AHEAD = 4


@dataclass(frozen=True)
class FusedVideo:
    """Result of `fuse_video`.

    Attributes:
        path: the written video or folder.
        frames: number of its frames.
        seconds: its duration.
        unpaired_a: numbers of the frames of source A that had no partner, from 1.
        unpaired_b: those of source B.
        rate: frames a second in the mean.
        sound: path of the source whose sound was copied; empty without sound.
        speed: frames fused in a second, with decoding and encoding.
        words: words that the model read from a frame on, by the number of the pair and then by what they are about.
    """

    path: Path
    frames: int
    seconds: float
    unpaired_a: list[int]
    unpaired_b: list[int]
    rate: Fraction
    sound: str
    speed: float
    words: dict[int, dict[str, str]] = field(default_factory=dict)


def wants_video(sources: Iterable[PathLike], out: PathLike) -> bool:
    """Tell whether a source is a video, or a video is to be written."""
    return any(map(is_video, sources)) or Path(out).suffix.lower() in SUFFIXES


def fuse_video(checkpoint: PathLike, source_a: PathLike, source_b: PathLike, out: PathLike, *,
               frame_rate: float | str | Fraction | None = None, offset: float = 0., describe: int | str = 'scene',
               codec: str = '', audio: bool = True, grey: bool = False, reading: Mapping[str, Any] | None = None,
               offline: bool = False, show: ShowProgress | None = None, suffix: str | None = None,
               **options: Any) -> FusedVideo:
    """Fuse two videos of one scene, or folders of numbered frames, into a video or numbered pictures.

        done = vlfusion.fuse_video('laplacian', 'ir.mp4', 'vi.mp4', 'fused.mp4', fit='resize')
        vlfusion.fuse_video('laplacian', 'ir.mp4', 'vi.mp4', 'frames/', depth=16)
        print(f'{done.frames} frames, {len(done.unpaired_b)} of source B without a partner')

    Frames pair by their times: two frames form a pair if each is the other's nearest, at most half a frame of the
    slower video apart. The times of the slower video are kept, also if they are irregular. A frame without a partner is
    left out and reported, so of videos of different length the overlap is fused. If anything fails, no file is left.

    Args:
        checkpoint: as for `vlfusion.fuse`.
        source_a: a video, or a folder or pattern of numbered pictures; infrared.
        source_b: a video, or a folder or pattern of numbered pictures; visible.
        out: video to write: `.mp4`, `.mov`, `.mkv` or `.webm`; or a new folder, or a pattern such as `frames/%05d.png`,
            for pictures whose numbers tell their times.
        frame_rate: frames a second of folders, such as 25 or '30000/1001'; without it, the frames of a folder pair by
            number with those of the video.
        offset: seconds by which source B began after source A.
        describe: frames at which a model that reads text gets new words: `scene`, where the scene changes in a source;
            or a number K, at each K-th pair.
        codec: a name in `vlfusion.imaging.video.writing.CODECS`; by default chosen by the ending of `out`.
        audio: True to copy the sound of source B, or of source A if B has none.
        grey: write luminance only.
        reading: rules by which the sources are read: `range_a`, `range_b`.
        offline: True to download no weights.
        show: progress and notes.
        suffix: ending of the pictures in a folder; by default `.png`.
        options: options of the `Fuser`, such as `fit`, `device`, `words`, `instruction` or `protocol`; also `depth`, if
            pictures are written; `register` is for pairs of pictures.

    Raises:
        DataError: a source is absent, damaged or changes its size; the sizes differ under `fit='refuse'`, or the shapes
            of the pixels; no frames pair; or the video cannot be written.
        ConfigError: an option has an unknown value, or no effect on videos; folders need a frame rate; or PyAV is not
            installed.
        CheckpointError: as for `Fuser`.
    """
    FINITE.check('offset', offset)
    begins = _key_frames(describe)
    names = numbered_names(out, suffix)
    _check_form(names, codec, suffix, options.get('depth', 8))
    if options.get('register'):
        raise ConfigError('Frames are not registered, because moved one by one they would shake.',
                          'Leave register out; or register the videos first.')
    if names is None:
        check_target(out, codec)
    check_outputs([names.folder if names else out], [source_a, source_b])
    require_model(checkpoint)
    new_run()
    sources = open_sequences({'source A': source_a, 'source B': source_b}, frame_rate_of(frame_rate), reading)
    pairing = Pairing(*sources, Fraction(offset).limit_denominator(10 ** 6))
    slower, aspect = pairing.slower, common_aspect(sources)
    loud = next((source for source in sources[::-1] if audio and getattr(source, 'sounds', ())), None)
    if names is None:
        check_target(out, codec, loud.sounds if loud else (), aspect)
    else:
        if loud:
            note('sound', f'The sound of {loud.name} is left out, because pictures have none.')
            loud = None
        if aspect != 1:
            note('aspect', f'Pixels are {aspect.numerator}:{aspect.denominator} (width to height), which pictures do '
                           'not say.')

    from vlfusion.system.devices import choose_same_gpu
    fuser = open_fuser(checkpoint, offline=offline, show=show, **options)
    tell_model(fuser, show, grey)
    step, clock, times, words, done = show or (lambda *_, **__: None), time.monotonic(), deque(), {}, 0
    step('fusing', 0, pairing.expected or 1)
    pairs = _in_memory(pairing, fuser, begins, times, words)
    with closing(read_ahead(pairs, AHEAD, choose_same_gpu())) as ready, closing(fuser.fuse_stream(ready)) as fused:
        first = next(fused)
        start = times[0]
        sound = Sound(loud, start - pairing.shift(loud)) if loud else None
        opened = write_frames(names, slower.rate) if names else write_video(
            out, rate=slower.rate, time_base=slower.time_base, codec=codec, grey=grey, sound=sound, aspect=aspect)
        with opened as writer, ThreadPoolExecutor(1) as encoder:
            def encode(picture: 'Fused') -> None:
                writer.write(picture.grey if grey else picture.colour, times.popleft() - start)

            for done, _ in enumerate(in_order(encoder, encode, chain([first], fused), AHEAD), 1):
                step('fusing', done, max(done, pairing.expected or 0),
                     f'{done / (time.monotonic() - clock):.3g} frames/s')
    step('fusing', done, done)
    return FusedVideo(names.folder if names else Path(out), done, float(writer.last + 1 / slower.rate),
                      pairing.unpaired_a, pairing.unpaired_b, slower.rate, loud.name if loud else '',
                      done / (time.monotonic() - clock), words)


def _check_form(names: NumberedNames | None, codec: str, suffix: str | None, depth: int) -> None:
    """Raise an error if an option does not fit the form of the output."""
    if names:
        names.check(depth)
        if codec:
            raise ConfigError('Pictures have no video codec.', 'Leave the codec out, or name a video as --out.')
    elif suffix:
        raise ConfigError(f'The suffix {suffix} is for pictures in a folder.',
                          'Leave it out, or give a folder as --out.')
    elif depth != 8:
        raise ConfigError('Videos are written with 8 bits.', 'Leave the depth out; or write a folder of pictures.')


def _in_memory(pairing: Pairing, fuser: 'Fuser', begins: Callable[[Frame, Frame], bool], times: deque[Fraction],
               words: dict[int, dict[str, str]]) -> Iterator['PairInMemory']:
    """Yield the pairs of frames with their texts.

    Their times go into `times`, and new words into `words`.
    """
    from vlfusion.inference.fuser import PairInMemory
    texts, modalities = {}, (fuser.texts.modality_a, fuser.texts.modality_b)
    sources = Path(pairing.frames_a.name), Path(pairing.frames_b.name)
    for number, (frame_a, frame_b) in enumerate(pairing.pairs(), 1):
        images = frame_a.image, frame_b.image
        name = f'frame {number}'
        if fuser.texts.source and begins(frame_a, frame_b):
            with TemporaryDirectory(prefix='vlfusion-') as folder:  # captioners read files
                files = [Path(folder, f'{name} {side}.png') for side in 'ab']
                for path, image in zip(files, images, strict=True):
                    write_image(path, image)
                described = Pair(name, *files, *modalities)
                texts, words[number] = fuser.texts.features(described, {}), fuser.texts.paragraphs(described)
        times.append(pairing.time(frame_a, frame_b))
        yield PairInMemory(Pair(name, *sources, *modalities), *images, texts)


def _key_frames(describe: int | str) -> Callable[[Frame, Frame], bool]:
    """The function that tells, for one pair after another, whether new words begin at it."""
    if isinstance(describe, int) and describe > 0:
        numbers = count()
        return lambda *_: next(numbers) % describe == 0
    if describe != 'scene':
        raise ConfigError(f'New words were to begin at {describe!r}.', 'Give scene, or a number of frames from 1 on.')
    changes = SceneChanges(), SceneChanges()
    return lambda *frames: any([changed(frame.image) for changed, frame in zip(changes, frames, strict=True)])
