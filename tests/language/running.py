"""A run in a process of its own, with parts that are quick to build."""

import hashlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from unittest.mock import patch

import cv2
import numpy as np
import torch

from vlfusion.errors import DataError
from vlfusion.language.interfaces import Observation, TextFeatures
from vlfusion.language.llms import TemplateLLM
from vlfusion.language.pipeline import DescriptionPipeline
from vlfusion.language.subjects import ImageToDescribe
from vlfusion.registry import CAPTIONERS, LLMS, TEXT_ENCODERS


class ShortEncoder:
    """Four tokens of a text's hash: quick to build, and another text has other features."""

    version = '1'
    dim = 8

    def encode(self, texts):
        hashes = [np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8) for text in texts]
        features = torch.tensor(np.stack(hashes), dtype=torch.float32).view(len(texts), 4, 8)
        return TextFeatures(features, torch.ones(len(texts), 4, dtype=torch.bool))


class NumberCaptioner:
    """Says which image it is."""

    version, images = '1', 1

    def observe(self, scenes, modalities):
        return [[Observation(f'It is number {hashlib.sha256(image.tobytes()).hexdigest()}')] for image, in scenes]


class LoggingLLM(TemplateLLM):
    """The template, with a line in a file for each call."""

    version = '1'

    def __init__(self, log, seconds=0.):
        self.log, self.seconds = log, seconds

    def complete(self, prompts):
        for prompt in prompts:
            with open(self.log, 'a') as file:
                file.write(sha256(prompt.text) + '\n')
            time.sleep(self.seconds)
        return super().complete(prompts)


class ManyAtOnceLLM(LoggingLLM):
    """Answers in threads, the last first if it is quicker; texts of `bad` fail."""

    def __init__(self, log, seconds=0., concurrency=4, bad=''):
        super().__init__(log, seconds)
        self.concurrency, self.bad = concurrency, bad

    def stream(self, prompts):
        with ThreadPoolExecutor(self.concurrency) as pool:
            waiting = {}
            for index, prompt in enumerate(prompts):
                waiting[pool.submit(self._answer, prompt)] = index
                while len(waiting) >= self.concurrency or (waiting and all(job.done() for job in waiting)):
                    yield from self._finished(waiting)
            while waiting:
                yield from self._finished(waiting)

    def _answer(self, prompt):
        if self.bad and self.bad in prompt.modality:
            raise DataError('refused', 'ask otherwise')
        return self.complete([prompt])[0]

    def _finished(self, waiting):
        time.sleep(0.001)
        for job in [job for job in waiting if job.done()]:
            yield waiting.pop(job), job.exception() or job.result()


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def register():
    for registry, cls in ((CAPTIONERS, NumberCaptioner), (LLMS, LoggingLLM), (LLMS, ManyAtOnceLLM),
                          (TEXT_ENCODERS, ShortEncoder)):
        registry.register_module(module=cls)


def draw(folder, count):
    """Small images."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        image = cv2.resize(rng.integers(0, 256, (3, 3), dtype=np.uint8), (12, 12), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f'{index:03}.png'), image)
    return [ImageToDescribe(path, 'MRI') for path in sorted(folder.iterdir())]


class Run:
    """A process that describes images once `go` is called."""

    def __init__(self, language, images, **environment):
        self.process = _server.Process(target=_describe, args=(language, images, environment))

    def go(self):
        # Where the server has not been started yet, it looks there for this module.
        with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))):
            self.process.start()

    def wait(self, seconds):
        """The exit code, or None where the process still runs then."""
        self.process.join(seconds)
        return self.process.exitcode

    def kill(self):
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _describe(language, images, environment):
    os.environ.update(environment)
    register()
    DescriptionPipeline(language).run(images)


#: Processes are forked from one that has imported all they need, for that takes each of them seconds.
_server = get_context('forkserver')
_server.set_forkserver_preload(['language.running', 'openai'])
