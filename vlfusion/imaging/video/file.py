"""Frames of a video file, decoded by PyAV: upright, in OpenCV's form, each with its time."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Shaped

from vlfusion.console.notes import note
from vlfusion.errors import DataError, needs
from vlfusion.imaging.reading.file import identify_file, unreadable
from vlfusion.imaging.reading.rule import AS_STORED, Reading, rescale
from vlfusion.imaging.video.frame import Frame

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

#: Endings of video files, in lower case. Files with other endings are known by their first bytes.
SUFFIXES = ('.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi', '.mpg', '.mpeg', '.ts', '.m2ts', '.mts', '.wmv', '.flv',
            '.3gp', '.ogv', '.h264', '.h265', '.hevc', '.y4m')
#: Seconds by which a file may end before its header says, before it counts as cut off.
_MISSING = 0.5
#: FFmpeg's names of the formats whose header says at which time stamp a video ends, in place of its duration.
_SAY_THE_END = ('matroska,webm', 'asf')
_COPY = 'Copy the file again; or cut the part before the damage out, for example with ffmpeg -t SECONDS.'


def is_video(path: str | os.PathLike) -> bool:
    """Tell whether a file is a video, by its first bytes or its ending."""
    path = Path(path)
    if not path.is_file():
        return False
    identified = identify_file(path)
    return identified[0] == 'a video' if identified else path.suffix.lower() in SUFFIXES


class VideoFile:
    """The frames of a video file: a `vlfusion.imaging.video.frame.Frames`.

    Frames are turned and mirrored as the file says. Grey frames stay grey; more than 8 bits become 16.

    Args:
        path: the file.
        reading: the range from black to white; by default all levels of the frames' bits.

    Attributes:
        seconds: duration as the header says; None if it does not.
        sounds: names of the audio codecs; empty without sound.
        aspect: width of an upright pixel over its height; None if the file does not say.
        start: time stamp of the first frame in seconds, on the clock that the sound shares; known once it is read.

    Raises:
        DataError: the file is absent, cannot be opened, or holds no video; or the reading chooses a page or bands.
        ConfigError: PyAV is not installed.
    """

    def __init__(self, path: str | os.PathLike, reading: Reading = AS_STORED):
        if reading.page or reading.bands:
            raise DataError(f'{path} is a video, which has no pages and bands.', 'Leave --page and --bands out.')
        self.name, self.reading, self.start = str(path), reading, None
        with self._open() as (container, stream):
            self.rate = Fraction(stream.average_rate or stream.guessed_rate or stream.base_rate or 25)
            self.time_base = stream.time_base
            self.seconds = _seconds(container, stream)
            self.count = stream.frames or (round(self.seconds * self.rate) if self.seconds else None)
            self.aspect = _aspect(container, stream)
            self.sounds = tuple(audio.codec_context.name for audio in container.streams.audio)

    def read(self) -> Iterator[Frame]:
        """Yield the frames in the order of their times.

        Raises:
            DataError: a frame is damaged, has another size than the first, or is not later than the one before; or the
                file ends early.
        """
        import av
        frame = end = None
        with self._open() as (container, stream):
            frames = container.decode(stream)  # not with a thread a frame, which would report errors late
            while True:
                number = frame.number + 1 if frame else 1
                errors, _ = _reported()
                try:
                    decoded = next(frames, None)
                except av.FFmpegError as error:
                    raise DataError(f'{self.name} cannot be decoded at frame {number}{_at(end)}: '
                                    f'{error.strerror}.', _COPY) from error
                if problem := _problem_since(errors, stream):
                    note(f'damage in {self.name}', f'FFmpeg reports damage in {self.name} near frame {number}'
                                                   f'{_at(end)}: {problem}. Frames after it may be wrong.')
                if decoded is None:
                    break
                frame, end = self._frame(number, decoded, frame, end)
                yield frame
        if frame is None:
            raise DataError(f'{self.name} holds no frame.', 'Copy the file again.')
        if self.seconds and self.seconds - end > _MISSING:
            raise DataError(f'{self.name} ends after {float(end):.2f} s, but its header says '
                            f'{float(self.seconds):.2f} s: it is cut off.', _COPY)

    def _frame(self, number: int, decoded: 'VideoFrame', last: Frame | None,
               end: Fraction | None) -> tuple[Frame, Fraction]:
        """The frame, and the time of its end."""
        if decoded.is_corrupt:
            raise DataError(f'Frame {number} of {self.name}{_at(end)} is damaged.', _COPY)
        if self.start is None or last is None:
            self.start = (decoded.pts or 0) * self.time_base
        time = end or Fraction(0)  # of a bare stream, which has no time stamps
        if decoded.pts is not None:
            time = decoded.pts * self.time_base - self.start
        if last and time <= last.time:
            raise DataError(f'Frame {number} of {self.name} is at {float(time):.3f} s, not after frame {last.number} '
                            f'at {float(last.time):.3f} s.', 'Copy it into a new file: ffmpeg -i VIDEO -c copy NEW')
        image = upright(_pixels(decoded), display_matrix(decoded), self.name)
        if last and image.shape[:2] != last.image.shape[:2]:
            raise DataError(f'Frame {number} of {self.name} is {_size(image)}, but the frames before are '
                            f'{_size(last.image)} (width x height).', 'Cut the video where its size changes.')
        if decoded.interlaced_frame:
            note('interlaced', f'{self.name} is interlaced; both fields of a frame are fused as one picture.')
        if self.reading.stretch != 'full':
            image = rescale(image, self.reading, what=f'Frame {number} of {self.name}')
        duration = decoded.duration * self.time_base if decoded.duration else 1 / self.rate
        return Frame(number, time, image), time + duration

    @contextmanager
    def _open(self) -> Iterator[tuple['InputContainer', 'VideoStream']]:
        with open_video(self.name) as container:
            pictures = [stream for stream in container.streams.video if not _is_cover(stream)]
            if not pictures:
                kinds = ', '.join(sorted({stream.type for stream in container.streams})) or 'nothing'
                raise DataError(f'{self.name} holds no video stream, only {kinds}.', 'Give a video.')
            yield container, pictures[0]


@contextmanager
def open_video(path: str) -> Iterator['InputContainer']:
    """Open a file with PyAV; raises a DataError if FFmpeg cannot read it, and a ConfigError without PyAV."""
    with needs('Reading videos', 'PyAV', 'video'):
        import av
    if problem := unreadable(path):
        raise DataError(*problem)
    try:
        container = av.open(path)
    except av.FFmpegError as error:
        raise DataError(f'{path} cannot be opened as a video: {error.strerror}.',
                        'It may be cut off, for example by a camera that lost power, or of another format. Copy it '
                        'again, or repair it with ffmpeg.') from error
    with container:
        yield container


def display_matrix(frame: 'VideoFrame') -> tuple[int, int, int, int] | None:
    """The linear part (a, b, c, d) of a frame's display matrix in 1/65536; None if it is shown as stored.

    A step to the right in the stored picture is (a, b) on the screen, and a step down is (c, d).
    """
    stored = frame.side_data.get('DISPLAYMATRIX')
    if stored is None:
        return None
    matrix = np.frombuffer(stored, np.int32).reshape(3, 3)
    return tuple(int(entry) for entry in matrix[:2, :2].ravel())


def upright(image: Shaped[np.ndarray, 'h w ...'], matrix: tuple[int, int, int, int] | None,
            name: str = 'The video') -> Shaped[np.ndarray, '_ _ ...']:
    """Turn and mirror a frame as its display matrix says.

    Raises:
        DataError: the matrix turns by another angle than a multiple of 90 degrees.
    """
    if matrix is None:
        return image
    a, b, c, d = matrix
    if (a and b) or (c and d) or not (a and d or b and c):
        raise DataError(f'{name} is turned by an angle that is no multiple of 90 degrees.',
                        'Let a player or ffmpeg turn it, and fuse the result.')
    if b:
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[::1 if d > 0 else -1, ::1 if a > 0 else -1])


def _pixels(frame: 'VideoFrame') -> Shaped[np.ndarray, 'h w *bgr']:
    components = frame.format.components
    grey, deep = len(components) == 1 and not frame.format.has_palette, any(part.bits > 8 for part in components)
    return frame.to_ndarray(format=('gray16le' if deep else 'gray') if grey else ('bgr48le' if deep else 'bgr24'))


def _seconds(container: 'InputContainer', stream: 'VideoStream') -> Fraction | None:
    """Duration of the stream as the header says; that of the container counts if it holds nothing else."""
    seconds = Fraction(0)
    if stream.duration:
        seconds = stream.duration * stream.time_base
    elif said := re.fullmatch(r'(\d+):(\d+):(\d+(?:\.\d+)?)', stream.metadata.get('DURATION', '')):
        seconds = 3600 * int(said[1]) + 60 * int(said[2]) + Fraction(said[3])
    elif container.duration and len(container.streams) == 1:
        seconds = Fraction(container.duration, 1_000_000)
    if container.format.name in _SAY_THE_END:
        seconds -= (stream.start_time or 0) * stream.time_base
    return seconds if seconds > 0 else None


def _aspect(container: 'InputContainer', stream: 'VideoStream') -> Fraction | None:
    """Width of a pixel over its height on the screen, or None; where the pixels are not square, a frame is decoded."""
    import av
    aspect = stream.sample_aspect_ratio or None  # 0 stands for an unknown shape
    if aspect in (None, 1):
        return aspect
    try:
        matrix = display_matrix(next(container.decode(stream)))
    except (av.FFmpegError, StopIteration):  # told when it is read
        return aspect
    return 1 / aspect if matrix and matrix[1] else aspect


def _reported() -> tuple[int, tuple[int, str, str] | None]:
    """Number of errors that FFmpeg has reported in this process, and the last: its level, reporter and text."""
    import av
    if av.logging.get_level() is None:
        av.logging.set_level(av.logging.PANIC)  # errors are counted, and none is printed
    return av.logging.get_last_error()


def _problem_since(errors: int, stream: 'VideoStream') -> str:
    """The last error, if it is later than that many and of this decoder, which goes on after most of them; or empty."""
    number, report = _reported()
    return report[2].strip() if number > errors and report[1] == stream.codec_context.codec.name else ''


def _is_cover(stream: 'VideoStream') -> bool:
    import av
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _at(time: Fraction | None) -> str:
    return '' if time is None else f' ({float(time):.2f} s)'


def _size(image: np.ndarray) -> str:
    return f'{image.shape[1]}x{image.shape[0]}'
