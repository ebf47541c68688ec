"""Measure frames a second of fusing a video: decoding, network and encoding overlapped, and one after another.

    python performance/video.py average laplacian film-small-mif
    python performance/video.py laplacian --size 720 1280 --frames 60 --threads 2

The videos are synthetic: textures that pan, one of them grey, as H.264. Both ways take turns in one run.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch

from vlfusion import Fuser
from vlfusion.imaging.video.file import VideoFile
from vlfusion.imaging.video.pairing import Pairing
from vlfusion.imaging.video.writing import write_video
from vlfusion.inference.video import fuse_video
from vlfusion.testing.videos import write_toy_video


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('models', nargs='+', help='names of models')
    parser.add_argument('--size', type=int, nargs=2, default=(480, 640), metavar=('HEIGHT', 'WIDTH'))
    parser.add_argument('--frames', type=int, default=50)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        videos = [Path(folder, f'{name}.mp4') for name in ('a', 'b')]
        for path, grey in zip(videos, (True, False), strict=True):
            draw(path, args.size, args.frames, grey)
        began = time.perf_counter()
        for video in videos:
            for _ in VideoFile(video).read():
                pass
        print(f'{args.frames} frames of {args.size[1]}x{args.size[0]}, {args.threads} threads; decoding both alone: '
              f'{args.frames / (time.perf_counter() - began):.0f} frames/s')
        for model in args.models:
            measure(model, videos, Path(folder), args.repeats)


def draw(path: Path, size: tuple[int, int], frames: int, grey: bool) -> None:
    """Write a video of a texture that pans by two pixels a frame."""
    noise = np.random.default_rng(int(grey)).integers(0, 256, (size[0], size[1] + 2 * frames, 3), np.uint8)
    wide = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    wide = wide[..., 0] if grey else wide
    write_toy_video(path, [np.ascontiguousarray(wide[:, 2 * n:2 * n + size[1]]) for n in range(frames)],
                    codec='libx264')


def measure(model: str, videos: list[Path], folder: Path, repeats: int) -> None:
    """Print the frames a second of both ways, the median of the repeats, and their ratio."""
    fuser, speeds = Fuser(model, store=folder / 'text'), defaultdict(list)
    texts = fuser.texts.features(first_pair(videos, folder), {}) if fuser.texts.source else None
    for _ in range(repeats):
        began, frames = time.perf_counter(), 0
        with write_video(folder / 'single.mp4', rate=Fraction(25), time_base=Fraction(1, 25)) as writer:
            for frame_a, frame_b in Pairing(*map(VideoFile, videos)).pairs():
                fused = fuser(frame_a.image[..., ::-1], frame_b.image[..., ::-1], texts)
                writer.write(fused.colour, frame_a.time)
                frames += 1
        speeds['one after another'].append(frames / (time.perf_counter() - began))
        speeds['overlapped'].append(fuse_video(model, *videos, folder / 'fused.mp4', store=folder / 'text').speed)
    equal = sum(np.array_equal(one.image, other.image) for one, other in zip(
        VideoFile(folder / 'single.mp4').read(), VideoFile(folder / 'fused.mp4').read(), strict=True))
    single, overlapped = (median(values) for values in speeds.values())
    print(f'{model:16} one after another {single:6.2f} frames/s, overlapped {overlapped:6.2f}, ratio '
          f'{overlapped / single:.2f}; {equal} of {frames} frames are equal')


def first_pair(videos: list[Path], folder: Path):
    """The first frames as files, which captioners read."""
    from vlfusion.data.pairs import Pair
    from vlfusion.imaging.images import write_image
    files = [folder / f'{video.stem}.png' for video in videos]
    for video, file in zip(videos, files, strict=True):
        write_image(file, next(VideoFile(video).read()).image)
    return Pair('first', *files)


if __name__ == '__main__':
    main()
