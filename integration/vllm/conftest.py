"""A tiny Llama with random weights, what transformers generates with it, and vLLM's own server for it."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from importlib.resources import files
from urllib.error import URLError
from urllib.request import urlopen

os.environ |= {'HF_HUB_OFFLINE': '1', 'OMP_NUM_THREADS': '1', 'VLLM_NO_USAGE_STATS': '1', 'VLLM_CPU_KVCACHE_SPACE': '1'}

import cv2
import numpy as np
import pytest
import torch

from vlfusion.imaging.images import read_image
from vlfusion.language.captioners import MeasuredCaptioner
from vlfusion.language.interfaces import Prompt
from vlfusion.language.llms import TransformersLLM
from vlfusion.language.pipeline import DescriptionPipeline, ImageToDescribe
from vlfusion.language.prompt import load_prompt

torch.set_num_threads(1)

KEY = 'sk-loopback-0123456789'
CONTEXT = 2048
#: Blanks between the parts of JSON are left out: with its random weights, this model writes little else.
JSON_OPTIONS = dict(backend='xgrammar', disable_any_whitespace=True)
TEMPLATE = ("{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}</s>{% endfor %}"
            "{% if add_generation_prompt %}<|assistant|>{% endif %}")
TEXTS = ('A bright patch.', 'The image is dark in the lower left and grey everywhere else.', 'Grey',
         'a b c d e f g h i j', 'Where is it sharp? ' * 12, 'A city.', 'Two trees', 'It has three colours: red, blue.')


@pytest.fixture(scope='session')
def prompts() -> list[Prompt]:
    return [Prompt(text, (), 'MRI') for text in TEXTS]


@pytest.fixture(scope='session')
def folder(tmp_path_factory) -> str:
    """A Llama of two layers that ends the first answer early, and a tokenizer trained on the prompts.

    Attention heads are 64 wide, as vLLM's kernels ask. All tokens are ASCII: of a character that is cut in two, vLLM
    drops the first half, where transformers writes a replacement character.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    path = str(tmp_path_factory.mktemp('llama'))
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer, trained.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    template = files('vlfusion.language.prompts').joinpath('paragraph.v1.md').read_text('utf-8')
    trained.train_from_iterator([*TEXTS, template], trainers.BpeTrainer(
        vocab_size=600, special_tokens=['<s>', '</s>'], initial_alphabet=[chr(code) for code in range(33, 127)]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=trained, bos_token='<s>', eos_token='</s>')
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=2 * CONTEXT, bos_token_id=0, eos_token_id=1,
        initializer_range=0.2)).eval()
    ids = tokenizer(f'<|user|>{TEXTS[0]}</s><|assistant|>', return_tensors='pt')['input_ids']
    written = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8,
                             pad_token_id=1)[0, ids.shape[1]:]
    with torch.no_grad():  # the end token outbids the one that would come last
        model.lm_head.weight[1] = 1.01 * model.lm_head.weight[written[-1]]
    model.save_pretrained(path)
    return path


@pytest.fixture(scope='session')
def reference(folder, facts):
    """What transformers generates."""
    def generate(prompts, **options):
        return facts(TransformersLLM(folder, **{'max_new_tokens': 60, **options}).complete(prompts))

    return generate


@pytest.fixture(scope='session')
def facts():
    """What does not depend on who generates it."""
    return lambda completions: [
        (one.text.strip(), one.prompt_tokens, one.completion_tokens, one.finish_reason) for one in completions]


@pytest.fixture(scope='session')
def json_options() -> dict:
    return JSON_OPTIONS


@pytest.fixture(scope='session')
def structured() -> list[Prompt]:
    """Prompts that want JSON of a schema."""
    schema = {'type': 'object', 'properties': {'colour': {'enum': ['red', 'blue']}, 'bright': {'type': 'boolean'}},
              'required': ['colour', 'bright'], 'additionalProperties': False}
    return [Prompt(text, (), 'MRI', schema) for text in TEXTS[:4]]


@pytest.fixture
def key(monkeypatch) -> str:
    monkeypatch.setenv('LOOPBACK_KEY', KEY)
    return KEY


@pytest.fixture(scope='session')
def server(folder, tmp_path_factory):
    """The URL of vLLM's server, with a key and two sequences at a time."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp('server') / 'log'
    command = [sys.executable, '-m', 'vllm.entrypoints.openai.api_server', '--model', folder, '--served-model-name',
               'tiny-llama', '--host', '127.0.0.1', '--port', str(port), '--dtype', 'float32', '--enforce-eager',
               '--max-model-len', str(CONTEXT), '--max-num-seqs', '2', '--api-key', KEY,
               '--structured-outputs-config', json.dumps(JSON_OPTIONS)]
    with log.open('w') as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                                   preexec_fn=_end_with_parent)
    try:
        deadline = time.monotonic() + 400
        while not _up(f'http://127.0.0.1:{port}/health'):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f'The vLLM server did not come up:\n{log.read_text()[-4000:]}')
            time.sleep(0.5)
        yield f'http://127.0.0.1:{port}/v1'
    finally:
        _stop(process)


def _end_with_parent() -> None:
    """The kernel stops the server where the tests are killed and no fixture gets to do it."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _up(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (URLError, OSError):
        return False


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(60)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what it may have left behind
    process.wait()


@pytest.fixture
def describe(tmp_path, reference):
    """Runs a pipeline on three drawn images; its paragraphs are to be what transformers writes of the same prompts."""
    images = []
    for index, (top, left) in enumerate([(5, 5), (5, 65), (65, 5)]):
        image = np.zeros((90, 90), np.uint8)
        image[top:top + 20, left:left + 20] = 200 + 10 * index
        images.append(ImageToDescribe(tmp_path / f'{index}.png', 'MRI'))
        cv2.imwrite(str(images[-1].path), image)

    def run(section, system=None, llm=None):
        language = dict(store=str(tmp_path / 'text'), captioners=[dict(type='MeasuredCaptioner')], llm=section,
                        prompt='paragraph', encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
        pipeline = DescriptionPipeline(language)
        if llm is not None:
            pipeline.llm = llm
        report = pipeline.run(images)
        assert (len(report.done), report.failed) == (3, {})
        seen = MeasuredCaptioner().observe([read_image(image.path) for image in images], 'MRI')
        expected = reference([load_prompt('paragraph').render(of_one, 'MRI') for of_one in seen], system=system)
        assert [pipeline.paragraph(image).strip() for image in images] == [text for text, *_ in expected]
        assert pipeline.usage.prompt_tokens == sum(read for _, read, _, _ in expected)
        assert pipeline.usage.completion_tokens == sum(written for _, _, written, _ in expected)
        features = [np.load(file) for file in (tmp_path / 'text').rglob('*.npy')]
        assert [one.shape[1] for one in features] == [384] * 3 and all(np.isfinite(one).all() for one in features)

    return run
