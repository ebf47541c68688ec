"""Videos for tests, written by PyAV."""

import os
from collections.abc import Sequence
from fractions import Fraction

import numpy as np


def write_toy_video(path: str | os.PathLike, images: Sequence[np.ndarray], rate: Fraction | int = 25, *,
                    times: Sequence[int] | None = None, unit: Fraction | None = None, codec: str = 'ffv1',
                    pixels: str = '', rotation: int | None = None, aspect: Fraction | None = None, sound: str = '',
                    seconds: float = 1., options: dict[str, str] | None = None, format: str | None = None) -> None:
    """Write a video.

    Args:
        path: file to write.
        images: grey or blue-green-red frames of one size, uint8, or grey uint16.
        rate: frames a second.
        times: times of the frames in `unit`; by default at equal distances.
        unit: unit of the times in seconds; by default the interval of the frames.
        codec: FFmpeg's name of the encoder; `ffv1` loses nothing.
        pixels: pixel format; by default one that loses nothing for `ffv1`, and `yuv420p` for others.
        rotation: degrees counterclockwise by which players turn the video.
        aspect: width of a pixel over its height; by default the file does not say.
        sound: encoder of a tone of 440 Hz; empty for a silent video.
        seconds: duration of the tone.
        options: options of the encoder.
        format: FFmpeg's name of the format; by default chosen by the ending.
    """
    import av
    unit = unit or 1 / Fraction(rate)
    own = {(2, 'uint8'): 'gray', (2, 'uint16'): 'gray16le', (3, 'uint8'): 'bgr24'}[images[0].ndim, str(images[0].dtype)]
    with av.open(str(path), 'w', format=format) as container:
        video = container.add_stream(codec, rate=rate, options=options or {})
        video.height, video.width = images[0].shape[:2]
        video.pix_fmt = pixels or ({'bgr24': 'bgr0'}.get(own, own) if codec == 'ffv1' else 'yuv420p')
        video.codec_context.time_base = video.time_base = unit
        if rotation is not None:
            video.set_display_rotation(rotation)
        if aspect is not None:
            video.codec_context.sample_aspect_ratio = aspect
        audio = container.add_stream(sound, rate=8000, layout='mono') if sound else None
        for time, image in zip(times or range(len(images)), images, strict=True):
            frame = av.VideoFrame.from_ndarray(image, own)
            frame.pts, frame.time_base = time, unit
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio:
            tone = np.sin(2 * np.pi * 440 * np.arange(round(8000 * seconds)) / 8000)
            planar = audio.format.is_planar and audio.format.name == 'fltp'
            wave = (0.5 * tone).astype(np.float32) if planar else (16000 * tone).astype(np.int16)
            for start in range(0, len(wave), 1024):
                part = av.AudioFrame.from_ndarray(wave[None, start:start + 1024], audio.format.name, 'mono')
                part.sample_rate, part.pts, part.time_base = 8000, start, Fraction(1, 8000)
                container.mux(audio.encode(part))
            container.mux(audio.encode())
