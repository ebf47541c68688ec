"""Measure the language stage beyond its parts: its overhead, its use of an LLM server, and skipping of stored records.

    python performance/describe.py --threads 2                       # all three
    python performance/describe.py --only skipping --records 10000
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.request import urlopen

import cv2
import numpy as np
import torch

from vlfusion.imaging.images import write_image
from vlfusion.language.captioners import MeasuredCaptioner
from vlfusion.language.encoders import TransformersTextEncoder
from vlfusion.language.keys import Content
from vlfusion.language.llms import OpenAILLM, TemplateLLM
from vlfusion.language.pipeline import DescriptionPipeline
from vlfusion.language.subjects import ImageToDescribe, image_digest
from vlfusion.registry import CAPTIONERS, LLMS, TEXT_ENCODERS

#: Seconds spent inside each part.
INSIDE = defaultdict(float)
LANGUAGE = dict(captioners=[dict(type='TimedCaptioner')], llm=dict(type='TimedTemplate'), prompt='paragraph',
                encoder=dict(type='TimedEncoder'))
ANSWER = ' '.join(['The square image shows a bright patch in its upper left and an empty background.'] * 8)


@contextmanager
def _inside(part: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        INSIDE[part] += time.perf_counter() - start


@CAPTIONERS.register_module()
class TimedCaptioner(MeasuredCaptioner):
    def observe(self, scenes, modalities):
        with _inside('captioner'):
            return super().observe(scenes, modalities)


@LLMS.register_module()
class TimedTemplate(TemplateLLM):
    def complete(self, prompts):
        with _inside('llm'):
            return super().complete(prompts)


@LLMS.register_module()
class TimedChat(OpenAILLM):
    """A chat model whose time is that of the stage: from the first prompt until the last answer is stored."""

    def stream(self, prompts):
        with _inside('llm'):
            yield from super().stream(prompts)


@TEXT_ENCODERS.register_module()
class TimedEncoder(TransformersTextEncoder):
    def encode(self, texts):
        with _inside('encoder'):
            return super().encode(texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--only', choices=('overhead', 'server', 'skipping'), help='one measurement (default: all)')
    parser.add_argument('--images', type=int, default=400, help='overhead: number of images')
    parser.add_argument('--requests', type=int, default=800, help='server: number of requests')
    parser.add_argument('--records', type=int, default=100_000, help='skipping: number of stored records')
    parser.add_argument('--store', default='text', help='ending in .shards: a sharded store (default: %(default)s)')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        for name, measure, count in (('overhead', _overhead, args.images), ('server', _server, args.requests),
                                     ('skipping', _skipping, args.records)):
            if args.only in (None, name):
                measure(Path(folder) / name, count, args.store)


def _overhead(folder: Path, count: int, store: str) -> None:
    """Measure the time outside of the three parts, as a share of the time inside them.

    Time inside includes the waiting of the parts' threads. Overhead is everything else: digests, keys, claims, prompts,
    records, and reading that a captioner waits for. Files are read ahead in threads. Reading in parallel to a captioner
    is not overhead, and if it slows the captioner, that counts as time inside.
    """
    pipeline, images = _ready(LANGUAGE | {'store': str(folder / store)}), _draw(folder / 'images', count, size=256)
    whole = _run(pipeline, images)
    parts = sum(INSIDE.values())
    each = ', '.join(f'{part} {seconds / count * 1e3:.1f} ms' for part, seconds in INSIDE.items())
    print(f'overhead, {count} images of 256x256: {whole:.1f} s, inside the parts {parts:.1f} s (an image: {each})')
    _verdict('    overhead / parts', (whole - parts) / parts, 0.05, '.1%', most=True)


def _server(folder: Path, count: int, store: str, at_once: int = 16, seconds: float = 0.2) -> None:
    with _serving(at_once, seconds) as url:
        llm = dict(type='TimedChat', model='loopback', base_url=f'{url}/v1', concurrency=at_once)
        pipeline = _ready(LANGUAGE | {'store': str(folder / store), 'llm': llm})
        images = _draw(folder / 'images', count, size=64)
        whole = _run(pipeline, images)
        with urlopen(f'{url}/counts') as answer:
            counts = json.load(answer)
    ideal = at_once / seconds
    print(f'server, {at_once} at once, {seconds} s each, {count} images of 64x64: {counts["requests"]} requests, '
          f'at most {counts["most"]} in flight; the whole run {whole:.1f} s, {count / whole:.1f} records a second')
    _verdict(f'    paragraphs a second / {ideal:.0f}', count / INSIDE['llm'] / ideal, 0.9, '.1%')


def _skipping(folder: Path, count: int, store: str) -> None:
    """Measure a run over images that all have features. Their files are new, so they are in the page cache."""
    language = LANGUAGE | {'store': str(folder / store)}
    pipeline, images = DescriptionPipeline(language), _scatter(folder / 'images', count)
    features = np.zeros((4, 8), np.float32)
    for image in images:
        key = pipeline.keys.feature(Content(image_digest(image.path), image.modality))
        pipeline.store.write('features', key, {'text': ANSWER}, features)
    start = time.perf_counter()
    report = DescriptionPipeline(language).run(images)
    seconds = time.perf_counter() - start
    assert len(report.skipped) == count, report
    print(f'skipping, {count} images whose features are there: {seconds:.2f} s')
    _verdict('    seconds / 100,000 images', seconds * 1e5 / count, 10, '.2f', most=True)


def _verdict(what: str, value: float, target: float, form: str, most: bool = False) -> None:
    reached = value < target if most else value >= target
    print(f'{what} = {value:{form}}; target {"under" if most else "at least"} {target:{form}}: '
          f'{"reached" if reached else "missed"}')


def _ready(language: dict) -> DescriptionPipeline:
    """Return a pipeline whose parts are built and have run once, since neither is measured."""
    pipeline = DescriptionPipeline(language)
    for captioner in pipeline.captioners:
        captioner.observe([(np.zeros((8, 8), np.uint8),)], ('',))
    pipeline.encoder.encode([ANSWER])
    assert pipeline.llm
    INSIDE.clear()
    return pipeline


def _run(pipeline: DescriptionPipeline, images: list[ImageToDescribe]) -> float:
    start = time.perf_counter()
    report = pipeline.run(images)
    seconds = time.perf_counter() - start
    report.raise_if_failed()
    assert len(report.done) == len(images)
    return seconds


def _draw(folder: Path, count: int, size: int) -> list[ImageToDescribe]:
    """Write different images of soft patches."""
    rng = np.random.default_rng(0)
    for index in range(count):
        coarse = rng.integers(0, 256, (6, 6), dtype=np.uint8)
        write_image(folder / f'{index:06}.png', cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC))
    return [ImageToDescribe(path, 'MRI') for path in sorted(folder.iterdir())]


def _scatter(folder: Path, count: int) -> list[ImageToDescribe]:
    """Write the smallest possible image files, all different, a thousand in each folder."""
    images = []
    for index in range(count):
        path = folder / f'{index // 1000:03}' / f'{index % 1000:03}.pgm'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'P5 2 2 255\n' + index.to_bytes(4, 'big'))
        images.append(ImageToDescribe(path, 'MRI'))
    return images


@contextmanager
def _serving(at_once: int, seconds: float) -> Iterator[str]:
    """Run a chat server in its own process, so that it does not share this one's interpreter lock."""
    context = get_context('spawn')
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, at_once, seconds), daemon=True)
    process.start()
    try:
        yield f'http://127.0.0.1:{here.recv()}'
    finally:
        process.terminate()
        process.join()


def _serve(parent: Connection, at_once: int, seconds: float) -> None:
    asyncio.run(_answer_chats(parent, at_once, seconds))


async def _answer_chats(parent: Connection, at_once: int, seconds: float) -> None:
    """Answer each POST after `seconds`, at most `at_once` in parallel while others wait. A GET returns the counts."""
    slots, counts = asyncio.Semaphore(at_once), dict(requests=0, in_flight=0, most=0)
    chat = dict(id='1', object='chat.completion', created=0, model='loopback',
                usage=dict(prompt_tokens=200, completion_tokens=100, total_tokens=300),
                choices=[dict(index=0, finish_reason='stop', message=dict(role='assistant', content=ANSWER))])

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            if head['method'] == 'GET':
                body = counts
            else:
                await reader.readexactly(int(head['content-length']))
                counts['requests'] += 1
                counts['in_flight'] += 1
                counts['most'] = max(counts['most'], counts['in_flight'])
                async with slots:
                    await asyncio.sleep(seconds)
                counts['in_flight'] -= 1
                body = chat
            content = json.dumps(body).encode()
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b'
                         % (len(content), content))
        writer.close()

    server = await asyncio.start_server(converse, '127.0.0.1', 0)
    parent.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _head(reader: asyncio.StreamReader) -> dict[str, str] | None:
    """Read the method and headers of a request, names in lower case; None if the client has closed the connection."""
    try:
        first, *lines = (await reader.readuntil(b'\r\n\r\n')).decode().split('\r\n')
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    headers = (line.partition(':') for line in lines if line)
    return {'method': first.split()[0]} | {name.lower(): value.strip() for name, _, value in headers}


if __name__ == '__main__':
    main()
