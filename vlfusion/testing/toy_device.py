"""A device that is not the CPU, for tests where there is no GPU.

Its tensors keep their numbers in a tensor of the CPU. Operations that also get a tensor of the CPU fail as on a GPU,
even for a single number, which some operations of a GPU take and others do not. Each operation gives the CPU's result
to the bit.

    with toy_device():
        network.to('toy')(images.to('toy'))

torch offers one unused device type to extensions (PrivateUse1). The function that lets Python implement it is private.
Once the device is registered, which its first use does, torch takes it for the accelerator of the whole process. So do
not work on a GPU in the same process afterwards: `torch.accelerator` and pinned memory would not know the GPU.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

from vlfusion.errors import ConfigError
from vlfusion.testing.traffic import INDEXING, caller, is_composite

NAME = 'toy'
#: Operations that may get tensors of both devices: copies, and those that copy their indices.
BETWEEN = ('_to_copy', 'copy_', *INDEXING)


def unavailable() -> str | None:
    """Return the reason why this torch cannot have the device; None if it can."""
    try:
        _register()
    except (ImportError, AttributeError, RuntimeError) as error:
        return f'this torch has no device for tests: {type(error).__name__}: {error}'
    return None


@contextmanager
def toy_device() -> Iterator[torch.device]:
    """Let tensors be made on the toy device inside this block.

    Raises:
        ConfigError: this torch cannot have it; `unavailable` tells so beforehand.
    """
    if reason := unavailable():
        raise ConfigError(f'The toy device cannot be used: {reason}.', 'Use a GPU, or another version of torch.')
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    # Parameters of Python's tensors cannot change in place. One thread: the engine knows no device that came after its
    # first backward pass.
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with _Functions(), _Operations(), torch.autograd.set_multithreading_enabled(False):
            yield torch.device(NAME)
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)


@contextmanager
def check_on_toy_device(subject: str) -> Iterator[torch.device]:
    """Run the block as `toy_device` does, and say what to do if the subject mixes devices.

    Args:
        subject: code under test, such as `The loss`.

    Raises:
        AssertionError: an operation of the block got tensors of both devices.
    """
    try:
        with toy_device() as device:
            yield device
    except MixedDevices as error:
        raise AssertionError(f'{subject} would fail on a GPU. {error}. Make the tensor with `device=source_a.device`, '
                             'or register it as a buffer.') from error


class MixedDevices(RuntimeError):
    """An operation got tensors of the toy device and of the CPU."""


class ToyTensor(Tensor):
    """A tensor on the toy device; `local` is the tensor of the CPU that holds its numbers."""

    @staticmethod
    def __new__(cls, local: Tensor):
        return Tensor._make_wrapper_subclass(
            cls, local.size(), strides=local.stride(), storage_offset=local.storage_offset(), dtype=local.dtype,
            layout=local.layout, device=torch.device(NAME, 0))

    def __init__(self, local: Tensor):
        self.local = local

    def __repr__(self, **_) -> str:
        return f'ToyTensor({self.local})'

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False):
        if not force:
            raise TypeError("can't convert toy device type tensor to numpy. Use Tensor.cpu() first.")
        return self.detach().cpu().numpy()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _Operations(TorchDispatchMode):
    """Runs operations that make tensors on the toy device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """Makes tensors of Python's numbers on the CPU and copies them, as torch does out of our sight."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is Tensor.new_tensor and isinstance(args[0], ToyTensor):
            kwargs = dict(dtype=args[0].dtype, device=args[0].device) | kwargs
            func, args = torch.tensor, args[1:]
        if func in (torch.tensor, torch.as_tensor) and _is_toy(kwargs.get('device')):
            device, learned = kwargs.pop('device'), kwargs.pop('requires_grad', False)
            return func(*args, **kwargs).to(device).requires_grad_(learned)
        return func(*args, **kwargs)


def _run(func, args: tuple, kwargs: dict):
    """Run an operation on the tensors of the CPU that hold the numbers."""
    tensors = []
    _map(tensors.append, (*args, *kwargs.values()))
    strangers = [tensor for tensor in tensors if not isinstance(tensor, ToyTensor)]
    has_toys, device = len(strangers) < len(tensors), kwargs.get('device')
    if not has_toys and not _is_toy(device):
        return func(*args, **kwargs)
    name = func.overloadpacket.__name__
    if is_composite(func):
        return func.decompose(*args, **kwargs)
    if has_toys and strangers and name not in BETWEEN:
        shapes = ', '.join(str(tuple(stranger.shape)) for stranger in strangers)
        raise MixedDevices(f'Expected all tensors on one device, but {name} at {caller()} got tensors on {NAME} and on '
                           f'the CPU, the latter of shape {shapes}')
    local_args, *local_values = _map(lambda tensor: getattr(tensor, 'local', tensor), (args, *kwargs.values()))
    local_kwargs = dict(zip(kwargs, local_values, strict=True)) | (dict(device='cpu') if _is_toy(device) else {})
    result = func(*local_args, **local_kwargs)
    if device is not None and not _is_toy(device):
        return result
    if name == 'copy_' and not isinstance(args[0], ToyTensor):
        return args[0]
    result = _map(ToyTensor, result)
    return return_and_correct_aliasing(func, args, kwargs, result) if has_toys and _has_aliases(func) else result


def _map(function: Callable[[Tensor], Any], value: Any) -> Any:
    """Apply a function to each tensor of nested lists and tuples. Much faster than torch's own for any container."""
    if isinstance(value, Tensor):
        return function(value)
    return type(value)(_map(function, part) for part in value) if isinstance(value, list | tuple) else value


@cache
def _has_aliases(func: OpOverload) -> bool:
    """Tell whether an operation returns or changes an argument, or a view of one."""
    return any(argument.alias_info for argument in func._schema.arguments)


def _is_toy(device) -> bool:
    return device is not None and torch.device(device).type == NAME


@cache
def _register() -> None:
    """Register the device with torch, once in a process. Outside `toy_device` no tensor can be made on it."""
    from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

    class Module(_DummyBackendModule):
        def is_available(self) -> bool:
            return False  # so that no program chooses it

        def device_count(self) -> int:
            return 0  # so that torch looks for no states of random numbers there

        def get_amp_supported_dtype(self) -> list[torch.dtype]:
            return [torch.bfloat16, torch.float16]

    _setup_privateuseone_for_python_backend(NAME, backend_module=Module())
    # Autocast can be entered, and casts nothing.
    _LIBRARY.append(torch.library.Library('_', 'IMPL'))
    _LIBRARY[0].fallback(torch.library.fallthrough_kernel, 'AutocastPrivateUse1')


#: Keeps the registration alive.
_LIBRARY: list[torch.library.Library] = []
