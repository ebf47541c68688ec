"""Amounts of memory are read as people write them; what is free and what a process took are the system's numbers."""

import sys

import psutil
import pytest
import torch

from vlfusion.errors import ConfigError, NetworkError
from vlfusion.system.memory import free_memory, out_of_memory, parse_bytes, peak_of_process


def test_memory_is_read_as_people_write_it():
    assert parse_bytes('2GiB') == parse_bytes('2g') == 2 * 2 ** 30 and parse_bytes('100') == 100
    with pytest.raises(ConfigError, match='not an amount of memory'):
        parse_bytes('plenty')


@pytest.mark.skipif(sys.platform != 'linux', reason='other systems do not report it')
def test_free_memory_and_the_peak_are_parts_of_the_memory_there_is():
    assert 0 < free_memory() <= psutil.virtual_memory().total
    assert psutil.Process().memory_info().rss / 2 < peak_of_process() <= psutil.virtual_memory().total


@pytest.mark.parametrize('error', [
    torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.64 GiB.'),
    torch.AcceleratorError('CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported'),
    RuntimeError('CUDA driver error: out of memory'),
    RuntimeError('GET was unable to find an engine to execute this computation'),
    RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`'),
    RuntimeError('cuDNN error: CUDNN_STATUS_ALLOC_FAILED'),
    RuntimeError('cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED'),
    RuntimeError('cuFFT error: CUFFT_ALLOC_FAILED'),
    RuntimeError('cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`'),
    RuntimeError('MPS backend out of memory (MPS allocated: 17.93 GB, other allocations: 160 KB)'),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory"),
    RuntimeError('std::bad_alloc'), MemoryError()])
def test_lack_of_memory_is_recognised(error):
    wrapped = NetworkError('The backbone fails.', 'Fix it.')
    wrapped.__cause__ = error
    assert out_of_memory(error) and out_of_memory(wrapped)


@pytest.mark.parametrize('error', [
    RuntimeError('sizes of tensors must match'),
    RuntimeError('Given groups=1, weight of size [32, 1, 3, 3], expected input[1, 2, 64, 64] to have 1 channels'),
    RuntimeError('mat1 and mat2 shapes cannot be multiplied (4x768 and 384x256)'),
    torch.AcceleratorError('CUDA error: device-side assert triggered'),
    RuntimeError('CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`'),
    RuntimeError('cuDNN error: CUDNN_STATUS_BAD_PARAM'), ValueError('out of memory')])
def test_another_error_is_no_lack_of_memory(error):
    assert not out_of_memory(error)
