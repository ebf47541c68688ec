"""Trained models as files that fuse a pair without vlfusion: ONNX, an exported program of torch, TorchScript.

    from vlfusion.inference.export import export_model
    export_model('work_dirs/ifcnn/best.pth', 'ifcnn.onnx', 'onnx')

A file is written only once it was read back and gave what the model gives, at sizes other than the traced one.
"""

import io
import json
import os
import traceback
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
from vlfusion.models import text_dims
from vlfusion.models.layers.strips import nearest_places

#: What the network is traced on: height, width and tokens. The size is odd: many networks pad only what is not even.
TRACED = (65, 83, 5)
#: What the file is checked on: pairs, height, width and tokens; even, tall, large (more pixels than FILM computes at
#: once) and small. A size that the model itself refuses is left out.
CHECKED = ((1, 64, 96, 4), (2, 83, 57, 1), (3, 131, 263, 9), (1, 24, 40, 2))
#: Under this name the files of torch hold their metadata, as JSON.
METADATA_FILE = 'vlfusion.json'


class ExportError(VLFusionError, RuntimeError):
    """A model that cannot be exported, or whose exported file computes something else."""


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        path: the file.
        inputs: the names of its inputs, in order.
        any_batch: whether it takes any number of pairs at once; else one.
        metadata: what the file says of itself.
        differences: the largest difference to the model by the `(batch, height, width)` that was checked.
    """

    path: Path
    inputs: tuple[str, ...]
    any_batch: bool
    metadata: Mapping[str, str]
    differences: Mapping[tuple[int, int, int], float]

    @property
    def difference(self) -> float:
        """The largest difference of all."""
        return max(self.differences.values())


@dataclass(frozen=True)
class Format:
    """Functions by which a network becomes the bytes of a file, and these become a function of the inputs."""

    write: Callable[['Network', Sequence[Tensor], Mapping[str, str]], bytes]
    read: Callable[[bytes], Callable[..., Tensor]]


def export_model(checkpoint: str | os.PathLike, out: str | os.PathLike, format: str, *,
                 text: str | os.PathLike | None = None, tolerance: float = 1e-4, trust: bool = False) -> Exported:
    """Write the model of a checkpoint as a file that fuses pairs without vlfusion.

    The file takes `source_a` and `source_b`, float32 `(batch, 1, h, w)` in [0, 1], and `text` `(batch, token, dim)`
    where the model reads it; it gives `fused` `(batch, 1, h, w)`. Height, width and tokens are free, and the batch is
    where the model allows it. There is no input for a mask: every token counts, and the texts of a batch have one
    length.

        vlfusion.export_model('work_dirs/film_ivf/best.pth', 'film.onnx', 'onnx')

    Args:
        checkpoint: as training or `convert-weights` writes it; or a config whose model has no weights.
        out: the file to write.
        format: a name in FORMATS.
        text: a NumPy file of token features `(token, dim)` or `(1, token, dim)` that the model shall always read; the
            file then takes two images only.
        tolerance: by how much the file's output may differ from the model's, on a scale of 0 to 1.
        trust: whether to take the checkpoint at its word, see `vlfusion.engine.trust`.

    Raises:
        ConfigError: there is no such format, or a text is given to a model that reads none.
        DataError: the text cannot be read or has another width than the model's; or the file would replace the
            checkpoint or the text, or cannot be written there.
        CheckpointError: as for `load_model`.
        ExportError: the model cannot be exported, or the file computes something else; no file is written then.
    """
    if format not in FORMATS:
        raise ConfigError(f'Unknown format {format!r}.', did_you_mean(format, FORMATS))
    check_outputs([out], [checkpoint, text])
    model, experiment = load_model(checkpoint, trust=trust)
    dims = text_dims(model.backbone)
    if dims.keys() - {'text'}:
        raise ExportError(f'The model reads the texts {", ".join(dims)}; only a model of one `text` can be exported.',
                          'Fuse with `vlfusion fuse` or vlfusion.Fuser.')
    fixed = None if text is None else _read_text(Path(text), dims.get('text'))
    free_dim = dims.get('text') if fixed is None else None
    with quiet_tracing():
        data, any_batch, differences = _export(FORMATS[format], model, experiment, fixed, free_dim, tolerance)
    write_whole(out, data)
    return Exported(Path(out), _input_names(free_dim), any_batch, _metadata(experiment, any_batch, fixed), differences)


def _export(format: Format, model: nn.Module, experiment: Mapping, fixed: Tensor | None, free_dim: int | None,
            tolerance: float) -> tuple[bytes, bool, dict[tuple[int, int, int], float]]:
    """The bytes of a file that was checked, whether it takes any batch, and the differences."""
    network = (Network if free_dim is None else NetworkOfText)(model, fixed).eval()
    for any_batch in (True, False):  # what takes any number of pairs, else what takes one
        try:
            data = _written(format, network, _inputs(1 + any_batch, *TRACED, free_dim),
                            _metadata(experiment, any_batch, fixed))
            return data, any_batch, _check(format.read(data), network, any_batch, free_dim, tolerance)
        except ExportError as error:
            failure = error
    raise failure


def _read_text(path: Path, dim: int | None) -> Float[Tensor, '1 token dim']:
    """The features in a file, for a model that reads such of width `dim`; None for one that reads no text."""
    if dim is None:
        raise ConfigError('A text was given, but the model reads no text.', 'Leave the text out.')
    remedy = f'Give features of the encoder that the model was trained with: floats (token, {dim}) in a .npy file.'
    features = read_features(path, remedy)
    if features.shape[1] != dim:
        raise DataError(f'The model reads text features (token, {dim}), but {path} holds {features.shape}.', remedy)
    return torch.from_numpy(require_finite(np.array(features, np.float32), str(path), remedy)[None])


def _metadata(experiment: Mapping, any_batch: bool, fixed: Tensor | None) -> dict[str, str]:
    """Metadata of a file: nothing of the machine, the paths or the data that the model comes from."""
    protocol = get_protocol(experiment.get('protocol', 'film'))
    task = get_task(experiment['task'])
    return dict(vlfusion_version=__version__, backbone=str(experiment['model']['backbone']['type']), task=task.name,
                chroma=chroma_name(experiment.get('chroma', task.chroma)), protocol=protocol.label,
                luminance=protocol.luminance, stretch=protocol.stretch, rounding=protocol.rounding,
                batch='any' if any_batch else '1',
                text='none' if fixed is None else f'{fixed.shape[1]} tokens baked in')


class Network(nn.Module):
    """A model as a function of two images; a text that it always reads is a constant `(1, token, dim)`."""

    def __init__(self, model: nn.Module, text: Tensor | None = None):
        super().__init__()
        self.model = model
        self.register_buffer('text', text)

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        if self.text is None:
            return self.model(source_a, source_b)
        return self.model(source_a, source_b, text=self.text.expand(source_a.shape[0], -1, -1))


class NetworkOfText(Network):
    """A model as a function of two images and a text."""

    def forward(self, source_a: Tensor, source_b: Tensor, text: Tensor) -> Tensor:
        return self.model(source_a, source_b, text=text)


def _input_names(free_dim: int | None) -> tuple[str, ...]:
    return ('source_a', 'source_b', *(() if free_dim is None else ('text',)))


def _inputs(batch: int, h: int, w: int, token: int, free_dim: int | None) -> tuple[Tensor, ...]:
    """Random inputs of a network, the same for the same arguments."""
    generator = torch.Generator().manual_seed(h * w)
    sources = (torch.rand(batch, 1, h, w, generator=generator) for _ in range(2))
    text = () if free_dim is None else (torch.randn(batch, token, free_dim, generator=generator),)
    return *sources, *text


# ------------------------------------------------------------------------------------ what a runtime computes otherwise


def _nearest(x: Tensor, size: Sequence, scales: Sequence[float] | None = None) -> Tensor:
    """`F.interpolate` by the nearest pixel, which is not left to a runtime: where a place lies between two pixels its
    rounding would choose another one. By scales, and not to a size, runtimes agree."""
    if scales is not None:
        return NotImplemented
    for axis, length in zip((-2, -1), size, strict=True):
        x = x.index_select(axis, nearest_places(x.shape[axis], length, x.device))
    return x


def _adaptive_mean(x: Tensor, size: Sequence[int]) -> Tensor:
    """Adaptive average pooling as two matrix products.

    ONNX has no such operator, and what torch writes in its place holds the indices of the traced size.
    """
    return _cell_means(x, x.shape[-2], size[0]) @ x @ _cell_means(x, x.shape[-1], size[1]).mT


def _cell_means(x: Tensor, length: int | torch.SymInt, cells: int) -> Tensor:
    """The matrix (cells, length) whose product with a line of pixels gives the mean of each cell."""
    cell, pixel = torch.arange(cells)[:, None], torch.arange(length)
    first, end = cell * length // cells, ((cell + 1) * length + cells - 1) // cells
    return ((pixel >= first) & (pixel < end)).to(x.dtype) / (end - first)


_FOR_ONNX = {torch.ops.aten.adaptive_avg_pool2d.default: _adaptive_mean,
             torch.ops.aten._adaptive_avg_pool2d.default: _adaptive_mean,
             torch.ops.aten.upsample_nearest2d.vec: _nearest}


# -------------------------------------------------------------------------------------------------------- the formats


def _program(network: nn.Module, inputs: Sequence[Tensor]) -> torch.export.ExportedProgram:
    """The network as a graph in which height, width and tokens are free, and the batch unless it is one."""
    batch = {0: torch.export.Dim.DYNAMIC} if len(inputs[0]) > 1 else {}
    shapes = [{**batch, **dict.fromkeys((2, 3) if value.shape[1] == 1 and value.ndim == 4 else (1,),
                                        torch.export.Dim.DYNAMIC)} for value in inputs]
    program = torch.export.export(network, tuple(inputs), dynamic_shapes=tuple(shapes), strict=False)
    # A guard that two numbers differ is there for nearly every size, often for how memory is laid out only. Whether the
    # graph is right where they are equal, as where h * w is a multiple of 16, is for the check to tell.
    program._guards_code = [guard for guard in program._guards_code if ' != ' not in guard]
    return program


def _write_program(network: nn.Module, inputs: Sequence[Tensor], metadata: Mapping[str, str]) -> bytes:
    program = _program(network, inputs)
    for module in program.graph_module.modules():
        for node in getattr(getattr(module, 'graph', None), 'nodes', ()):
            node.meta.pop('stack_trace', None)  # it names files of this machine
    # Without examples the file would not check its guards, as on sizes; their values are of no use to anybody.
    program.example_inputs = tuple(value.new_zeros(1).expand(value.shape) for value in inputs), {}
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={METADATA_FILE: json.dumps(metadata)})
    return file.getvalue()


def _read_program(data: bytes) -> Callable[..., Tensor]:
    return torch.export.load(io.BytesIO(data)).module()


def _write_torchscript(network: nn.Module, inputs: Sequence[Tensor], metadata: Mapping[str, str]) -> bytes:
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


def _write_onnx(network: nn.Module, inputs: Sequence[Tensor], metadata: Mapping[str, str]) -> bytes:
    with needs('ONNX', 'onnx with onnxruntime and onnxscript', 'export'):
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    program = _program(network, inputs)
    _try_guards(program, network, inputs)
    if any(node.target in _FOR_ONNX for node in program.graph.nodes):
        program = program.run_decompositions(_FOR_ONNX)
    model = torch.onnx.export(program, dynamo=True, verbose=False).model_proto
    _rename(model.graph)
    for part in (model.graph, *model.functions):
        for node in part.node:
            del node.metadata_props[:]  # they name files of this machine
            node.ClearField('doc_string')
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def _try_guards(program: torch.export.ExportedProgram, network: nn.Module, inputs: Sequence[Tensor]) -> None:
    """Run the program at the sizes of CHECKED: ONNX has no guards, and would go on where they do not hold."""
    run, free_dim = program.module(), inputs[2].shape[-1] if len(inputs) > 2 else None
    for batch, h, w, token in CHECKED:
        given = _inputs(min(batch, len(inputs[0])), h, w, token, free_dim)
        try:
            network(*given)
        except VLFusionError:
            continue
        run(*given)


def _rename(graph) -> None:
    """Give the output of an ONNX graph and its axes the names that users read."""
    [output] = graph.output
    for node in graph.node:
        node.input[:] = ['fused' if name == output.name else name for name in node.input]
        node.output[:] = ['fused' if name == output.name else name for name in node.output]
    output.name = 'fused'
    for value in (*graph.input, output):
        axes = ('batch', 'token', 'dim') if value.name == 'text' else ('batch', 'channel', 'height', 'width')
        for axis, name in zip(value.type.tensor_type.shape.dim, axes, strict=True):
            if axis.dim_param:
                axis.dim_param = name
    del graph.value_info[:]  # shapes of what lies between, in the names that the axes had


def _read_onnx(data: bytes) -> Callable[..., Tensor]:
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised as well
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(data, options, providers=['CPUExecutionProvider'])
    names = [value.name for value in session.get_inputs()]

    def run(*inputs: Tensor) -> Tensor:
        given = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(['fused'], given)[0])
    return run


FORMATS = {'onnx': Format(_write_onnx, _read_onnx),
           'exported-program': Format(_write_program, _read_program),
           'torchscript': Format(_write_torchscript, _read_torchscript)}


# ----------------------------------------------------------------------------------------------- checks and messages


def _written(format: Format, network: nn.Module, inputs: Sequence[Tensor], metadata: Mapping[str, str]) -> bytes:
    """The bytes of the file; whatever a tracer says of a network becomes an error that can be understood."""
    try:
        with torch.no_grad():
            return format.write(network, inputs, metadata)
    except VLFusionError:
        raise
    except Exception as error:  # tracers raise errors of any kind
        why, remedy = _explain(error)
        raise ExportError(f'The model cannot be exported: {why}{_place(error)}.\n    {_first_line(error)}',
                          remedy) from error


def _check(run: Callable[..., Tensor], reference: nn.Module, any_batch: bool, free_dim: int | None,
           tolerance: float) -> dict[tuple[int, int, int], float]:
    """The largest differences between a file and the model it was made from, at the sizes of CHECKED.

    Raises:
        ExportError: the file fails at a size, or differs by more than the tolerance.
    """
    differences = {}
    for batch, h, w, token in CHECKED:
        inputs = _inputs(batch if any_batch else 1, h, w, token, free_dim)
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
            raise ExportError(f'The exported model makes {tuple(fused.shape)} of images of {h}x{w} (height x width); '
                              f'expected {tuple(expected.shape)}.', _OTHER_SIZES)
        differences[len(expected), h, w] = (fused - expected).abs().max().item()
    if not differences:
        raise ExportError('The model fuses none of the sizes that an exported model is checked on.',
                          'Fuse with `vlfusion fuse`.')
    worst = max(differences.values(), key=lambda difference: (difference != difference, difference))  # NaN is the worst
    if not worst <= tolerance:
        listed = ', '.join(f'{value:.2g} at {h}x{w}' for (_, h, w), value in differences.items())
        raise ExportError(f'The exported model differs from the model by up to {worst:.2g}; allowed is {tolerance:g} '
                          f'(height x width: {listed}).', f'{_OTHER_SIZES} Where a method chooses between sources, '
                          'rounding alone may change the choice of single pixels: then raise the tolerance.')
    return differences


_OTHER_SIZES = ('Its graph holds the size that it was traced at. Try another format, exported-program first; else '
                'compute what depends on the size by torch operations on x.shape, without loops over it, int() and '
                'len().')
_PLAIN = 'or leave it as it is and fuse with `vlfusion fuse`, which needs no graph.'


def _explain(error: Exception) -> tuple[str, str]:
    """Reason why a network has no graph, and the remedy."""
    said = f'{type(error).__name__} {error}'.lower()
    if 'numpy' in said:
        return ('it computes something in numpy, which no graph can hold',
                f'Write that in torch operations, {_PLAIN}')
    if 'datadependent' in said or 'data-dependent' in said or 'data dependent' in said or '.item()' in said:
        return ('what it computes next depends on the values of the images, as in `if x.max() > 1`',
                f'Write the choice as torch.where, {_PLAIN}')
    if isinstance(error, torch.onnx.OnnxExporterError):
        return 'ONNX has nothing for one of its operations', f'Try exported-program, {_PLAIN}'
    if 'constraints violated' in said or 'guard failed' in said or 'speciali' in said:
        return 'it fixes a size while it is traced', f'{_OTHER_SIZES} Otherwise fuse with `vlfusion fuse`.'
    return 'torch cannot trace or write it', f'Rewrite the operation that is named, try another format, {_PLAIN}'


def _place(error: Exception) -> str:
    """Place in a network where an error arose: the innermost line that is neither torch's nor ours."""
    ours = (str(Path(torch.__file__).parent), __file__)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if frame.filename.endswith('.py') and not frame.filename.startswith(ours)]
    return f' ({Path(frames[-1].filename).name}, line {frames[-1].lineno})' if frames else ''


def _first_line(error: Exception) -> str:
    """The beginning of what a tracer says, for more of it helps nobody."""
    if isinstance(error, torch.onnx.OnnxExporterError) and error.__cause__:
        error = error.__cause__  # itself it tells how to report a bug
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f'{type(error).__name__}: {lines[0][:300] if lines else ""}'
