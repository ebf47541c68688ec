"""Encode frames into a video file, with the sound of a source."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from vlfusion.errors import ConfigError, DataError, did_you_mean, needs
from vlfusion.files import whole
from vlfusion.imaging.video.file import VideoFile, open_video

if TYPE_CHECKING:
    from av import Packet
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

#: FFmpeg's names of the formats that keep variable frame rates, by their endings.
FORMATS = {'.mp4': 'mp4', '.m4v': 'mp4', '.mov': 'mov', '.mkv': 'matroska', '.webm': 'webm'}
#: FFmpeg's number of ITU-R BT.709 as primaries, transfer and matrix; and of levels 16 to 235.
_BT709, _LIMITED = 1, 1
_SQUARE = Fraction(1)


@dataclass(frozen=True)
class Codec:
    """A way to encode video.

    Attributes:
        encoder: FFmpeg's name of the encoder.
        pixels: pixel format of colour.
        grey: pixel format of grey pictures.
        options: options of the encoder.
    """

    encoder: str
    pixels: str = 'yuv420p'
    grey: str = 'yuv420p'
    options: Mapping[str, str] = field(default_factory=dict)


#: `h264` and `vp9` lose what is hard to see, `ffv1` (RFC 9043) loses nothing.
CODECS = {'h264': Codec('libx264', options={'crf': '17'}),
          'vp9': Codec('libvpx-vp9', options={'crf': '24', 'b': '0', 'row-mt': '1'}),
          'ffv1': Codec('ffv1', 'bgr0', 'gray', {'level': '3'})}


def check_target(path: str | os.PathLike, codec: str = '', sounds: Iterable[str] = (),
                 aspect: Fraction = _SQUARE) -> None:
    """Refuse a file that cannot be written, before any work.

    Args:
        path: the video to write.
        codec: a name in `CODECS`; empty for the default of the file's ending.
        sounds: names of the audio codecs to copy.
        aspect: width of a pixel over its height.

    Raises:
        DataError: the ending is not in `FORMATS`, or files of this format cannot hold the codec, the sound or the shape
            of the pixels.
        ConfigError: the codec is unknown, or PyAV is not installed.
    """
    with needs('Writing videos', 'PyAV', 'video'):
        import av
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise DataError(f'Cannot write a video to {path}.', f'Use a name that ends in {" ".join(FORMATS)}; or a '
                        'folder, such as frames/.')
    if codec and codec not in CODECS:
        raise ConfigError(f'Unknown video codec {codec!r}.', did_you_mean(codec, CODECS))
    with av.open(os.devnull, 'w', format=FORMATS[suffix]) as container:
        holds = container.supported_codecs
    if codec and (codec not in holds or (FORMATS[suffix], codec) == ('mov', 'vp9')):  # FFmpeg lists it, and then fails
        raise DataError(f'A {suffix} file cannot hold {codec}.', 'Write a .mkv file, or choose another --codec.')
    if unfit := [sound for sound in sounds if sound not in holds]:
        raise DataError(f'A {suffix} file cannot hold the sound of the source, which is {unfit[0]}.',
                        'Write a .mkv file, or leave the sound out with --no-audio.')
    codec = codec or _default(suffix)
    if aspect != 1 and codec != 'h264' and FORMATS[suffix] not in ('mp4', 'mov'):  # PyAV sets it in the codec alone
        raise DataError(f'A {suffix} file with {codec} cannot say that its pixels are {aspect.numerator}:'
                        f'{aspect.denominator}, as those of the source are.', 'Write a .mp4 file, or use --codec h264.')


def _default(suffix: str) -> str:
    """The codec of files with an ending."""
    return 'vp9' if suffix == '.webm' else 'h264'


@dataclass(frozen=True)
class Sound:
    """Sound to copy from a video.

    Attributes:
        video: the video, of which a frame has been read.
        begins: time of the first written frame in that video, in seconds after its own first frame.
    """

    video: VideoFile
    begins: Fraction


@contextmanager
def write_video(path: str | os.PathLike, *, rate: Fraction, time_base: Fraction, codec: str = '', grey: bool = False,
                sound: Sound | None = None, aspect: Fraction = _SQUARE) -> Iterator['VideoWriter']:
    """Yield a writer of a video file, which gets its name when it is complete.

        with write_video('fused.mp4', rate=Fraction(25), time_base=Fraction(1, 25)) as writer:
            for number, image in enumerate(images):
                writer.write(image, Fraction(number, 25))

    Times may have any distances. Colours follow ITU-R BT.709 with levels 16 to 235, and the file says so; `ffv1` keeps
    all levels. Frames of odd height or width are encoded without subsampling of colour, because their size must stay.

    Args:
        path: file to write; its ending chooses the format. See `check_target`.
        rate: mean frames a second, which players show.
        time_base: unit of the times in seconds.
        codec: a name in `CODECS`; by default `vp9` for `.webm` and `h264` for others.
        grey: True if all frames are grey.
        sound: sound to copy without a change; packets before the first frame and after the last are left out.
        aspect: width of a pixel over its height.

    Raises:
        DataError: FFmpeg cannot encode or write the video.
        OSError: the file cannot be written.
    """
    import av
    suffix = Path(path).suffix.lower()
    choice = CODECS[codec or _default(suffix)]
    with whole(path) as temporary, av.open(str(temporary), 'w', format=FORMATS[suffix]) as container:
        stream = container.add_stream(choice.encoder, rate=rate, options=dict(choice.options))
        stream.codec_context.time_base = stream.time_base = time_base
        if aspect != 1:
            stream.codec_context.sample_aspect_ratio = aspect
        with closing(_copies(container, sound)) as packets:
            writer = VideoWriter(str(path), container, stream, choice.grey if grey else choice.pixels, packets)
            yield writer
            writer.finish()


class VideoWriter:
    """A video file in the making, see `write_video`."""

    def __init__(self, path: str, container: 'OutputContainer', stream: 'VideoStream', pixels: str,
                 sound: Iterator[tuple[Fraction, 'Packet']]):
        self.path, self.container, self.stream, self.pixels = path, container, stream, pixels
        self._sound, self._waiting = sound, next(sound, None)  # the first packet's streams come before any frame
        self.last = Fraction(0)

    def write(self, image: UInt8[np.ndarray, 'h w *bgr'], time: Fraction) -> None:
        """Encode a frame.

        Args:
            image: grey or blue-green-red; all frames have one size.
            time: seconds after the first frame, a multiple of the time base and later than the frame before.
        """
        import av
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), 'gray' if image.ndim == 2 else 'bgr24')
        if not self.stream.codec_context.is_open:
            self._prepare(frame)
        yuv = self.stream.pix_fmt.startswith('yuv')
        frame = frame.reformat(format=self.stream.pix_fmt, **(
            dict(dst_colorspace=_BT709, dst_color_range=_LIMITED) if yuv else {}))
        frame.time_base = self.stream.codec_context.time_base
        frame.pts, self.last = round(time / frame.time_base), time
        with self._errors():
            self.container.mux(self.stream.encode(frame))
            self._copy_sound(time)

    def finish(self) -> None:
        """Write what the encoder holds back, and the sound until the end of the last frame."""
        with self._errors():
            self.container.mux(self.stream.encode())
            self._copy_sound(self.last + 1 / Fraction(self.stream.codec_context.framerate))

    def _prepare(self, frame: 'VideoFrame') -> None:
        """Set size and colours of the stream before its first frame."""
        context = self.stream.codec_context
        context.width, context.height, context.pix_fmt = frame.width, frame.height, self.pixels
        if self.pixels == 'yuv420p':
            context.color_primaries = context.color_trc = context.colorspace = _BT709
            context.color_range = _LIMITED
            if frame.width % 2 or frame.height % 2:
                context.pix_fmt = 'yuv444p'

    def _copy_sound(self, time: Fraction) -> None:
        while self._waiting and self._waiting[0] <= time:
            self.container.mux(self._waiting[1])
            self._waiting = next(self._sound, None)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import av
        try:
            yield
        except av.FFmpegError as error:
            raise DataError(f'FFmpeg cannot write {self.path}: {error.strerror}.',
                            'Check the free space; or write another format, or use another --codec.') from error


def _copies(container: 'OutputContainer', sound: Sound | None) -> Iterator[tuple[Fraction, 'Packet']]:
    """Add streams of sound to the container, and yield their packets, each with its time after the first frame."""
    if sound is None:
        return
    begins = sound.video.start + sound.begins
    with open_video(sound.video.name) as source:
        streams = {stream.index: container.add_stream_from_template(stream) for stream in source.streams.audio}
        for packet in source.demux(source.streams.audio):
            if packet.pts is None or packet.dts is None:
                continue
            shift = round(begins / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            if packet.pts >= 0:
                time, packet.stream = packet.pts * packet.time_base, streams[packet.stream_index]
                yield time, packet
