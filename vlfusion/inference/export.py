"""Trained models as files that fuse a pair without vlfusion: ONNX, an exported program of torch, TorchScript.

    from vlfusion.inference.export import export_model
    export_model('work_dirs/ifcnn/best.pth', 'ifcnn.onnx', 'onnx')

Before a file is written, it is loaded and compared with the model at sizes other than the traced one.
"""

import io
import json
import os
import traceback
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion import __version__
from vlfusion.data.text import read_features, require_finite
from vlfusion.engine.checkpoints import load_model
from vlfusion.engine.compat import quiet_tracing
from vlfusion.errors import ConfigError, DataError, VLFusionError, did_you_mean, needs
from vlfusion.files import write_whole
from vlfusion.guards.outputs import check_outputs
from vlfusion.imaging.chroma import chroma_name
from vlfusion.imaging.protocol import get_protocol
from vlfusion.imaging.tasks import get_task
from vlfusion.inference.texts import Texts
from vlfusion.language.section import INSTRUCTION
from vlfusion.models import map_inputs, needed_texts, text_dims
from vlfusion.models.layers.strips import nearest_places


class Size(NamedTuple):
    """Sizes of the inputs: pairs, height and width, tokens of the text and of the instruction.

    The mask of the instruction shows `real` tokens of the first pair, and all of the others.
    """

    batch: int
    h: int
    w: int
    token: int
    word: int
    real: int


#: Size at which the network is traced. Height and width are odd, because many networks pad odd sizes only.
TRACED = Size(2, 65, 83, 5, 7, 3)
#: Sizes at which the file is checked: even, tall, large (more pixels than FILM computes at once) and small. Two of them
#: have no instruction. Sizes that the model itself refuses are left out.
CHECKED = (Size(1, 64, 96, 4, 1, 1), Size(2, 83, 57, 1, 6, 0), Size(3, 131, 263, 9, 5, 2), Size(1, 24, 40, 2, 3, 0))
#: Name of the JSON metadata within torch's files.
METADATA_FILE = 'vlfusion.json'


class ExportError(VLFusionError, RuntimeError):
    """The error of a model that cannot be exported, or whose exported file computes other values."""


@dataclass(frozen=True)
class Exported:
    """An exported file.

    Attributes:
        path: path of the file.
        inputs: names of its inputs, in order.
        any_batch: whether it takes any number of pairs at once; otherwise it takes one.
        metadata: metadata in the file.
        differences: largest difference from the model at each checked `(batch, height, width)`.
    """

    path: Path
    inputs: tuple[str, ...]
    any_batch: bool
    metadata: Mapping[str, str]
    differences: Mapping[tuple[int, int, int], float]

    @property
    def difference(self) -> float:
        """The largest difference at any size."""
        return max(self.differences.values())


@dataclass(frozen=True)
class Format:
    """A format: `write` makes the bytes of a file from a network, `read` makes a function from these bytes."""

    write: Callable[['Network', Sequence[Tensor], Mapping[str, str]], bytes]
    read: Callable[[bytes], Callable[..., Tensor]]


def export_model(checkpoint: str | os.PathLike, out: str | os.PathLike, format: str, *,
                 text: str | os.PathLike | None = None, instruction: str | bool = True, tolerance: float = 1e-4,
                 trust: bool = False) -> Exported:
    """Write the model of a checkpoint as a file that fuses pairs without vlfusion.

    The file takes `source_a` and `source_b`, float32 `(batch, 1, h, w)` in [0, 1], and `text` `(batch, token, dim)` if
    the model reads text. If it also reads an instruction that it may do without, the file takes `instruction`
    `(batch, token, dim)` and `instruction_mask`, bool `(batch, token)`: True for real tokens, False for padding. A pair
    without a real token has no instruction. The file returns `fused` `(batch, 1, h, w)`. Height, width and tokens may
    have any size, and the batch too if the model allows it. A text has no mask: every token counts, and all texts of a
    batch have one length.

        vlfusion.export_model('film-ivf', 'film.onnx', 'onnx')
        vlfusion.export_model('film-guide-mif', 'left.onnx', 'onnx', instruction='show the PET more on the left')

    Args:
        checkpoint: checkpoint, name of a model, address on the hub or config, as for `vlfusion.load_model`.
        out: file to write.
        format: a name in FORMATS.
        text: NumPy file of token features `(token, dim)` or `(1, token, dim)` to store in the exported file, which then
            takes two images only. Without it, the file takes a text as its third input if the model needs one, or if
            its experiment has a `text_source`.
        instruction: sentence to store in the exported file, by the model's own text encoder; False for a file without
            an instruction. By default the file takes it as an input if the model reads one.
        tolerance: largest allowed difference between the outputs of file and model, on a scale of 0 to 1.
        trust: whether to use the checkpoint's `language` section as it is, see `vlfusion.engine.trust`.

    Raises:
        ConfigError: the format is unknown, or `text` is given but the model reads no text; or the instruction is blank,
            or the model reads none or needs it.
        DataError: the text cannot be read or has another width than the model's; or the instruction is longer than the
            text encoder reads; or the file would replace the checkpoint or the text, or cannot be written there.
        CheckpointError: as for `load_model`.
        ExportError: the model cannot be exported, or the file computes other values; then no file is written.
    """
    if format not in FORMATS:
        raise ConfigError(f'Unknown format {format!r}.', did_you_mean(format, FORMATS))
    check_outputs([out], [checkpoint, text])
    model, experiment = load_model(checkpoint, trust=trust)
    dims, needed = text_dims(model.backbone), needed_texts(model.backbone)
    if dims.keys() - {'text', INSTRUCTION}:
        raise ExportError(f'The model reads the texts {", ".join(dims)}, but only models with one text, named `text`, '
                          'and an instruction can be exported.', 'Fuse with `vlfusion fuse` or vlfusion.Fuser.')
    if maps := [name for name, required in map_inputs(model.backbone).items() if required]:
        raise ExportError(f'The model reads the maps {", ".join(maps)}, for which an exported file has no input.',
                          'Fuse with `vlfusion fuse` or vlfusion.Fuser.')
    if instruction is False and INSTRUCTION in needed:
        raise ConfigError('The model needs an instruction.', 'Give one, or let the file take it as an input.')
    fixed = {} if text is None else {'text': _read_text(Path(text), dims.get('text'))}
    if isinstance(instruction, str):
        fixed[INSTRUCTION] = _encode(instruction, experiment, dims)
    reads_text = needed or experiment.get('text_source')
    free = {name: dim for name, dim in dims.items() if name not in fixed and (
        instruction if name == INSTRUCTION else reads_text)}
    network, facts = Network(model, fixed, free).eval(), _metadata(experiment, fixed)
    if INSTRUCTION in dims:
        facts[INSTRUCTION] = instruction.strip() if isinstance(instruction, str) else 'none'
    with quiet_tracing():
        data, any_batch, differences = _export(FORMATS[format], network, facts, tolerance)
    write_whole(out, data)
    return Exported(Path(out), network.inputs, any_batch, _with_batch(facts, any_batch), differences)


def _export(format: Format, network: 'Network', facts: Mapping[str, str],
            tolerance: float) -> tuple[bytes, bool, dict[tuple[int, int, int], float]]:
    """Make and check a file; return its bytes, whether it takes any batch, and the differences."""
    for any_batch in (True, False):  # try any number of pairs first, then a single pair
        try:
            data = _written(format, network, _inputs(network, TRACED, any_batch), _with_batch(facts, any_batch))
            return data, any_batch, _check(format.read(data), network, any_batch, tolerance)
        except ExportError as error:
            failure = error
    raise failure


def _encode(sentence: str, experiment: Mapping, dims: Mapping[str, int]) -> Float[Tensor, '1 token dim']:
    """Return the features of an instruction by the model's own text encoder."""
    return torch.from_numpy(Texts(experiment, dims, modality_a='', modality_b='').encode(sentence)[None])


def _read_text(path: Path, dim: int | None) -> Float[Tensor, '1 token dim']:
    """Read features from a file, for a model whose text has the width `dim`; None means that it reads no text."""
    if dim is None:
        raise ConfigError('A text was given, but the model reads no text.', 'Leave the text out.')
    remedy = f'Give features of the encoder that the model was trained with: floats (token, {dim}) in a .npy file.'
    features = read_features(path, remedy)
    if features.shape[1] != dim:
        raise DataError(f'The model reads text features (token, {dim}), but {path} holds {features.shape}.', remedy)
    return torch.from_numpy(require_finite(np.array(features, np.float32), str(path), remedy)[None])


def _metadata(experiment: Mapping, fixed: Mapping[str, Tensor]) -> dict[str, str]:
    """Metadata of a file, without the machine, paths or data of the training."""
    protocol = get_protocol(experiment.get('protocol', 'film'))
    task = get_task(experiment['task'])
    return dict(vlfusion_version=__version__, backbone=str(experiment['model']['backbone']['type']), task=task.name,
                chroma=chroma_name(experiment.get('chroma', task.chroma)), protocol=protocol.label,
                luminance=protocol.luminance, stretch=protocol.stretch, rounding=protocol.rounding,
                text=f'{fixed["text"].shape[1]} tokens baked in' if 'text' in fixed else 'none')


def _with_batch(facts: Mapping[str, str], any_batch: bool) -> dict[str, str]:
    return {**facts, 'batch': 'any' if any_batch else '1'}


class Network(nn.Module):
    """A model as a function of two images and of the texts that are not constants.

    Args:
        model: the model.
        fixed: constant texts by name, `(1, token, dim)` each.
        free: widths of the other texts, by name. An instruction has a mask.
    """

    def __init__(self, model: nn.Module, fixed: Mapping[str, Tensor], free: Mapping[str, int]):
        super().__init__()
        self.model, self.fixed, self.free = model, tuple(fixed), dict(free)
        for name, text in fixed.items():
            self.register_buffer(name, text)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the arguments, in order."""
        return 'source_a', 'source_b', *self.free, *([f'{INSTRUCTION}_mask'] if INSTRUCTION in self.free else [])

    def forward(self, source_a: Tensor, source_b: Tensor, *texts: Tensor) -> Tensor:
        fixed = {name: self.get_buffer(name).expand(source_a.shape[0], -1, -1) for name in self.fixed}
        return self.model(source_a, source_b, **fixed, **dict(zip(self.inputs[2:], texts, strict=True)))


def _inputs(network: Network, size: Size, any_batch: bool) -> tuple[Tensor, ...]:
    """Random inputs of a network, equal for equal arguments; of one pair unless it takes any number."""
    generator = torch.Generator().manual_seed(size.h * size.w)
    batch = size.batch if any_batch else 1
    sources = [torch.rand(batch, 1, size.h, size.w, generator=generator) for _ in range(2)]
    texts = [torch.randn(batch, size.word if name == INSTRUCTION else size.token, dim, generator=generator)
             for name, dim in network.free.items()]
    masks = []
    if INSTRUCTION in network.free:
        masks = [torch.ones(batch, size.word, dtype=torch.bool)]
        masks[0][0, size.real:] = False
    return *sources, *texts, *masks


# -------------------------------------------------------------------------------- operations that ONNX runtimes lack


def _nearest(x: Tensor, size: Sequence, scales: Sequence[float] | None = None) -> Tensor:
    """Nearest-neighbour resize to a given size, written as indexing because ONNX runtimes round ties differently.

    Resizing by a scale is left alone: there they agree.
    """
    if scales is not None:
        return NotImplemented
    for axis, length in zip((-2, -1), size, strict=True):
        x = x.index_select(axis, nearest_places(x.shape[axis], length, x.device))
    return x


def _adaptive_mean(x: Tensor, size: Sequence[int | torch.SymInt]) -> Tensor:
    """Adaptive average pooling as two matrix products.

    ONNX has no such operator, and torch's replacement contains the indices of the traced size.
    """
    return _cell_means(x, x.shape[-2], size[0]) @ x @ _cell_means(x, x.shape[-1], size[1]).mT


def _cell_means(x: Tensor, length: int | torch.SymInt, cells: int | torch.SymInt) -> Tensor:
    """The matrix (cells, length) whose product with a line of pixels gives the mean of each cell."""
    cell, pixel = torch.arange(cells)[:, None], torch.arange(length)
    first, end = cell * length // cells, ((cell + 1) * length + cells - 1) // cells
    return ((pixel >= first) & (pixel < end)).to(x.dtype) / (end - first)


_FOR_ONNX = {torch.ops.aten.adaptive_avg_pool2d.default: _adaptive_mean,
             torch.ops.aten._adaptive_avg_pool2d.default: _adaptive_mean,
             torch.ops.aten.upsample_nearest2d.vec: _nearest}


# -------------------------------------------------------------------------------------------------------- the formats


def _program(network: Network, inputs: Sequence[Tensor]) -> torch.export.ExportedProgram:
    """Trace the network as a graph of free height, width and tokens, and of free batch if the inputs have several."""
    batch = {0: torch.export.Dim.DYNAMIC} if len(inputs[0]) > 1 else {}
    shapes = [{**batch, **dict.fromkeys((2, 3) if value.ndim == 4 else (1,), torch.export.Dim.DYNAMIC)}
              for value in inputs]
    texts = [tuple(shapes[2:])] if shapes[2:] else []  # those of `*texts`
    program = torch.export.export(network, tuple(inputs), dynamic_shapes=(*shapes[:2], *texts), strict=False)
    # Guards that two numbers differ are often about the layout of memory only, yet they refuse some sizes, such as
    # those with h * w a multiple of 16. They are dropped; `_check` tests that the graph is right at such sizes.
    program._guards_code = [guard for guard in program._guards_code if ' != ' not in guard]
    return program


def _write_program(network: Network, inputs: Sequence[Tensor], metadata: Mapping[str, str]) -> bytes:
    program = _program(network, inputs)
    for module in program.graph_module.modules():
        for node in getattr(getattr(module, 'graph', None), 'nodes', ()):
            node.meta.pop('stack_trace', None)  # it names files of this machine
    # Without example inputs the file would not check its guards, such as those on sizes. Their values do not matter.
    program.example_inputs = tuple(value.new_zeros(1).expand(value.shape) for value in inputs), {}
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={METADATA_FILE: json.dumps(metadata)})
    return file.getvalue()


def _read_program(data: bytes) -> Callable[..., Tensor]:
    return torch.export.load(io.BytesIO(data)).module()


def _write_torchscript(network: Network, inputs: Sequence[Tensor], metadata: Mapping[str, str]) -> bytes:
    traced = torch.jit.trace(network, tuple(inputs), check_trace=False, _store_inputs=False)
    file, slim = io.BytesIO(), io.BytesIO()
    torch.jit.save(traced, file, _extra_files={METADATA_FILE: json.dumps(metadata)})
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(slim, 'w') as new:
        for name in old.namelist():
            if not name.endswith('.debug_pkl'):  # it names files of this machine
                new.writestr(name, old.read(name))
    return slim.getvalue()


def _read_torchscript(data: bytes) -> Callable[..., Tensor]:
    return torch.jit.load(io.BytesIO(data))


def _write_onnx(network: Network, inputs: Sequence[Tensor], metadata: Mapping[str, str]) -> bytes:
    with needs('ONNX', 'onnx with onnxruntime and onnxscript', 'export'):
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    program = _program(network, inputs)
    _try_guards(program, network, inputs)
    if any(node.target in _FOR_ONNX for node in program.graph.nodes):
        program = program.run_decompositions(_FOR_ONNX)
    model = torch.onnx.export(program, dynamo=True, verbose=False).model_proto
    _rename(model.graph, network.inputs)
    for part in (model.graph, *model.functions):
        for node in part.node:
            del node.metadata_props[:]  # they name files of this machine
            node.ClearField('doc_string')
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def _try_guards(program: torch.export.ExportedProgram, network: Network, inputs: Sequence[Tensor]) -> None:
    """Run the program at the sizes of CHECKED. ONNX has no guards, and would compute wrong values where they fail."""
    run = program.module()
    for size in CHECKED:
        example = _inputs(network, size, any_batch=len(inputs[0]) > 1)
        try:
            network(*example)
        except VLFusionError:
            continue
        run(*example)


def _rename(graph, inputs: Sequence[str]) -> None:
    """Give the inputs and the output of an ONNX graph, and their axes, readable names."""
    values = [*graph.input, *graph.output]
    names = dict(zip((value.name for value in values), (*inputs, 'fused'), strict=True))
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in values:
        value.name = names[value.name]
        image, token = value.name in ('source_a', 'source_b', 'fused'), 'word' if INSTRUCTION in value.name else 'token'
        axes = ('batch', 'channel', 'height', 'width') if image else ('batch', token, 'dim')
        for axis, name in zip(value.type.tensor_type.shape.dim, axes, strict=False):
            if axis.dim_param:
                axis.dim_param = name
    del graph.value_info[:]  # shapes of intermediate values, under the former names of the axes


def _read_onnx(data: bytes) -> Callable[..., Tensor]:
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, so the log adds nothing
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(data, options, providers=['CPUExecutionProvider'])
    names = [value.name for value in session.get_inputs()]

    def run(*inputs: Tensor) -> Tensor:
        feed = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(['fused'], feed)[0])
    return run


FORMATS = {'onnx': Format(_write_onnx, _read_onnx),
           'exported-program': Format(_write_program, _read_program),
           'torchscript': Format(_write_torchscript, _read_torchscript)}


# ----------------------------------------------------------------------------------------------- checks and messages


def _written(format: Format, network: Network, inputs: Sequence[Tensor], metadata: Mapping[str, str]) -> bytes:
    """Make the bytes of the file. Errors of tracers become an ExportError that explains them."""
    try:
        with torch.no_grad():
            return format.write(network, inputs, metadata)
    except VLFusionError:
        raise
    except Exception as error:  # tracers raise errors of any kind
        why, remedy = _explain(error)
        raise ExportError(f'The model cannot be exported: {why}{_place(error)}.\n    {_first_line(error)}',
                          remedy) from error


def _check(run: Callable[..., Tensor], reference: Network, any_batch: bool,
           tolerance: float) -> dict[tuple[int, int, int], float]:
    """Compare a file with its model: the largest differences at the sizes of CHECKED.

    Raises:
        ExportError: the file fails at a size, or differs by more than the tolerance.
    """
    differences = {}
    for size in CHECKED:
        (_, h, w, *_), inputs = size, _inputs(reference, size, any_batch)
        with torch.no_grad():
            try:
                expected = reference(*inputs)
            except VLFusionError:
                continue
            try:
                fused = run(*inputs)
            except Exception as error:  # runtimes raise errors of any kind
                raise ExportError(f'The exported model fails on images of {h}x{w} (height x width), though the model '
                                  f'fuses them.\n    {_first_line(error)}', _OTHER_SIZES) from error
        if fused.shape != expected.shape:
            raise ExportError(f'The exported model returns {tuple(fused.shape)} for images of {h}x{w} (height x width);'
                              f' expected {tuple(expected.shape)}.', _OTHER_SIZES)
        differences[len(expected), h, w] = (fused - expected).abs().max().item()
    if not differences:
        raise ExportError('The model refuses every size at which exported models are checked.',
                          'Fuse with `vlfusion fuse`.')
    worst = max(differences.values(), key=lambda difference: (difference != difference, difference))  # NaN is the worst
    if not worst <= tolerance:
        listed = ', '.join(f'{value:.2g} at {h}x{w}' for (_, h, w), value in differences.items())
        raise ExportError(f'The exported model differs from the model by up to {worst:.2g}, but the tolerance is '
                          f'{tolerance:g} (height x width: {listed}).',
                          f'{_OTHER_SIZES} If the method chooses between sources, rounding alone may change the choice '
                          'of single pixels; then raise the tolerance.')
    return differences


_OTHER_SIZES = ('Its graph contains the size that it was traced at. Try another format, exported-program first; or '
                'compute values that depend on the size with torch operations on x.shape, without loops over it, '
                'int() and len().')
_PLAIN = 'or leave it as it is and fuse with `vlfusion fuse`, which needs no graph.'


def _explain(error: Exception) -> tuple[str, str]:
    """Reason why a network cannot be traced, and the remedy."""
    message = f'{type(error).__name__} {error}'.lower()
    if 'numpy' in message:
        return ('it computes in NumPy, which no graph can contain',
                f'Use torch operations instead, {_PLAIN}')
    if any(hint in message for hint in ('datadependent', 'data-dependent', 'data dependent', '.item()')):
        return ('its next step depends on the values of the images, as in `if x.max() > 1`',
                f'Write the choice as torch.where, {_PLAIN}')
    if isinstance(error, torch.onnx.OnnxExporterError):
        return 'ONNX does not support one of its operations', f'Try exported-program, {_PLAIN}'
    if any(hint in message for hint in ('constraints violated', 'guard failed', 'speciali')):
        return 'it fixes a size while it is traced', f'{_OTHER_SIZES} Otherwise fuse with `vlfusion fuse`.'
    return 'torch cannot trace or write it', f'Rewrite the operation named here, try another format, {_PLAIN}'


def _place(error: Exception) -> str:
    """Place of an error in a network: the innermost line that is neither in torch nor in this module."""
    own = (str(Path(torch.__file__).parent), __file__)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if frame.filename.endswith('.py') and not frame.filename.startswith(own)]
    return f' ({Path(frames[-1].filename).name}, line {frames[-1].lineno})' if frames else ''


def _first_line(error: Exception) -> str:
    """The first line of a tracer's message; the rest is rarely of use."""
    if isinstance(error, torch.onnx.OnnxExporterError) and error.__cause__:
        error = error.__cause__  # the outer error says how to report a bug of torch
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f'{type(error).__name__}: {lines[0][:300] if lines else ""}'
