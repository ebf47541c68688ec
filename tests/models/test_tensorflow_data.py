"""TensorFlow's checkpoints are read without TensorFlow."""

import numpy as np
import pytest
import torch
from torch import nn

from vlfusion.errors import CheckpointError
from vlfusion.models.tensorflow_data import read_data_file, with_torch_kernels


def released_name(name):
    return {'weight': 'scope/w', 'bias': 'scope/b'}[name]


def test_tensors_are_read_in_the_order_of_their_released_names(tmp_path):
    convolution = nn.Conv2d(2, 4, (3, 5))
    kernel = np.random.default_rng(0).normal(size=(3, 5, 2, 4)).astype('<f4')  # (height, width, in, out)
    bias = np.arange(4, dtype='<f4')
    path = tmp_path / 'model.data-00000-of-00001'
    path.write_bytes(bias.tobytes() + kernel.tobytes())
    state = read_data_file(path, 'Toy', convolution, released_name)
    assert list(state) == ['scope/b', 'scope/w']
    np.testing.assert_array_equal(state['scope/w'], kernel)
    ours = with_torch_kernels(state)
    np.testing.assert_array_equal(ours['scope/b'], bias)
    np.testing.assert_array_equal(ours['scope/w'], kernel.transpose(3, 2, 0, 1))
    convolution.load_state_dict({'weight': ours['scope/w'], 'bias': ours['scope/b']})


def test_a_file_of_another_size_is_refused(tmp_path):
    path = tmp_path / 'model.data-00000-of-00001'
    with torch.device('meta'):
        convolution = nn.Conv2d(1, 1, 1)
    with pytest.raises(CheckpointError, match='data of a released Toy: expected 8 bytes, it is missing'):
        read_data_file(path, 'Toy', convolution, released_name)
    path.write_bytes(bytes(7))
    with pytest.raises(CheckpointError, match='expected 8 bytes, it is 7 bytes'):
        read_data_file(path, 'Toy', convolution, released_name)
