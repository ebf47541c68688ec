"""Checks of fusion backbones: one check for each thing vlfusion or its users rely on.

`check_backbone` stops at the first failure, for tests; `survey_backbone` runs everything and reports, as
`vlfusion check-plugin` prints it.
"""

import copy
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import torch
from torch import Tensor, nn

from vlfusion.engine.compat import quiet_tracing
from vlfusion.errors import VLFusionError
from vlfusion.inference.tiling import fuse_in_tiles, plan
from vlfusion.models import Locality, locality, text_dims

#: Sizes that break what was written with even, large images in mind.
AWKWARD = ((17, 23), (33, 20), (9, 40), (5, 4), (2, 2))

#: From so many states a gradient may be zero before a parameter counts as one that does not learn.
STATES = 6


@dataclass(frozen=True)
class Outcome:
    """Result of one check: `holds` is None where it does not apply."""

    check: str
    holds: bool | None
    detail: str = ''


@dataclass(frozen=True)
class Trial:
    """A backbone under test, and what it is fed with; the arguments of `check_backbone`."""

    backbone: nn.Module
    text_dim: int | Mapping[str, int] | None = None
    size: tuple[int, int] = (20, 28)
    tolerance: float = 1e-5
    awkward: Sequence[tuple[int, int]] = AWKWARD

    @cached_property
    def streams(self) -> dict[str, int]:
        """The names of the texts that the backbone reads, with their widths."""
        return text_dims(self.backbone if self.text_dim is None else self)

    def inputs(self, size: tuple[int, int] | None = None, batch: int = 2, token: int = 6) -> dict[str, Tensor]:
        """Random pairs; of two or more texts the second is two tokens shorter and padded with zero rows."""
        generator = torch.Generator().manual_seed(0)
        inputs = {name: torch.rand(batch, 1, *(size or self.size), generator=generator)
                  for name in ('source_a', 'source_b')}
        for name, dim in self.streams.items():
            mask = torch.ones(batch, token, dtype=torch.bool)
            mask[1:2, max(1, token - 2):] = False
            inputs |= {name: torch.randn(batch, token, dim, generator=generator) * mask[..., None],
                       f'{name}_mask': mask}
        held = next(chain(self.backbone.parameters(), self.backbone.buffers()), torch.empty(0))
        return {name: value.to(held.device) for name, value in inputs.items()}

    @torch.no_grad()
    def fuse(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.backbone(**inputs)


class NotApplicable(Exception):
    """A check has nothing to look at."""


def check_backbone(backbone: nn.Module, text_dim: int | Mapping[str, int] | None = None,
                   size: tuple[int, int] = (20, 28), tolerance: float = 1e-5, also: Iterable[str] = (),
                   awkward: Sequence[tuple[int, int]] = AWKWARD) -> None:
    """Run the checks that training, testing and fusing rely on, and stop at the first that fails.

    `CHECKS` lists them with what each asks. The backbone is left in evaluation mode; its state is unchanged.

    Args:
        backbone: a freshly built network.
        text_dim: width of the text features it reads, or widths by name where it reads several texts; by default its
            own attribute `text_dim`, without which it reads none.
        size: height and width of the images, for a network that takes only multiples of something.
        tolerance: how far a batch may differ from its singles, for one with large sums.
        also: names of `EXTRAS` to check too.
        awkward: the odd and tiny sizes (height, width) to try.

    >>> class Mean(nn.Module):
    ...     def forward(self, source_a, source_b, text=None, text_mask=None):
    ...         return (source_a + source_b) / 2
    >>> check_backbone(Mean(), also=['export'])

    Raises:
        AssertionError: the check that failed, with the parameter's name or the sizes.
    """
    backbone.eval()
    trial = Trial(backbone, text_dim, size, tolerance, awkward)
    for check in [*CHECKS.values(), *(EXTRAS[name] for name in also)]:
        try:
            check(trial)
        except NotApplicable:
            continue


def survey_backbone(backbone: nn.Module, text_dim: int | Mapping[str, int] | None = None,
                    size: tuple[int, int] = (20, 28), tolerance: float = 1e-5) -> list[Outcome]:
    """The outcome of every check, those of `EXTRAS` included; arguments as for `check_backbone`."""
    backbone.eval()
    trial = Trial(backbone, text_dim, size, tolerance)
    return [outcome(name, check, trial) for name, check in {**CHECKS, **EXTRAS}.items()]


def outcome(name: str, check: Callable, *subject) -> Outcome:
    """Run one check on its subject; whatever goes wrong inside is an outcome too."""
    try:
        with quiet_tracing():
            return Outcome(name, True, check(*subject) or '')
    except NotApplicable as reason:
        return Outcome(name, None, str(reason))
    except Exception as error:  # code under test may fail in any way
        words = str(error) if isinstance(error, AssertionError) else f'{type(error).__name__}: {error}'
        return Outcome(name, False, words.strip().partition('\n')[0])


def check_output(trial: Trial) -> None:
    """The output has the sources' shape and type, is finite and within [0, 1]; so it is for black and white images, and
    at the transposed size."""
    for size in (trial.size, trial.size[::-1]):
        inputs = trial.inputs(size)
        _check_image(trial.fuse(inputs), inputs['source_a'])
        for level in (0., 1.):
            flat = inputs | {name: torch.full_like(inputs[name], level) for name in ('source_a', 'source_b')}
            _check_image(trial.fuse(flat), flat['source_a'])


def check_batch(trial: Trial) -> None:
    """A batch gives what its images give singly."""
    inputs = trial.inputs()
    batch = trial.fuse(inputs)
    singles = torch.cat([trial.fuse({name: value[i:i + 1] for name, value in inputs.items()})
                         for i in range(len(batch))])
    _check_equal(batch, singles, trial.tolerance, 'A batch differs from its images fused singly')


def check_determinism(trial: Trial) -> None:
    """The same input gives the same output to the bit, and is left unchanged."""
    inputs = trial.inputs()
    before = {name: value.clone() for name, value in inputs.items()}
    first, second = trial.fuse(inputs), trial.fuse(inputs)
    changed = [name for name, value in inputs.items() if not torch.equal(value, before[name])]
    assert not changed, f'The forward pass changes its input {changed[0]}.'
    assert torch.equal(first, second), f'Two calls differ by {(first - second).abs().max().item():.3g}.'


def check_gradients(trial: Trial) -> None:
    """In training mode a finite gradient reaches each parameter that may learn, also for black images; and everything
    that learns is a parameter of the network."""
    backbone = copy.deepcopy(trial.backbone).train()
    named = {name: parameter for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    if not named:
        raise NotApplicable('no parameters that learn')
    silent = set(named)
    for draw in range(STATES):
        for size in (trial.size, trial.size[::-1]):
            inputs = trial.inputs(size)
            silent -= {name for name, gradient in _gradients(backbone, named, inputs).items() if gradient.any()}
            if draw == 0:
                black = {name: torch.zeros_like(inputs[name]) for name in ('source_a', 'source_b')}
                _gradients(backbone, named, inputs | black)
        if not silent:
            return
        # From some random states a ReLU lets nothing through: that is the state's fault and not the network's.
        with torch.no_grad():
            for parameter in named.values():
                parameter += torch.randn_like(parameter) * (parameter.std(correction=0) + 0.01)
    raise AssertionError(f'No gradient for {min(silent)}: it is zero from {STATES} states.')


def _gradients(backbone: nn.Module, named: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    fused = backbone(**inputs)
    assert fused.requires_grad, f'No gradient for {next(iter(named))}: the output depends on no parameter.'
    known = {id(parameter) for parameter in backbone.parameters()}
    stray = [leaf for leaf in _leaves(fused) if id(leaf) not in known]
    assert not stray, f'A tensor {tuple(stray[0].shape)} learns and is no parameter of the network, so it is in no ' \
        'checkpoint: hold layers in nn.ModuleList and tensors in nn.Parameter.'
    # Not the plain sum: its gradient vanishes wherever a network normalises.
    target = torch.rand(fused.shape, generator=torch.Generator().manual_seed(1)).to(fused)
    gradients = torch.autograd.grad((fused - target).square().sum(), named.values(), allow_unused=True)
    for name, gradient in zip(named, gradients, strict=True):
        assert gradient is not None, f'No gradient for {name}: the output does not depend on it.'
        assert gradient.isfinite().all(), f'The gradient for {name} holds NaN or infinity.'
    return dict(zip(named, gradients, strict=True))


def _leaves(output: Tensor) -> Iterator[Tensor]:
    """The tensors that a gradient of the output would be added to."""
    nodes, seen = [output.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, 'variable'):
            yield node.variable
        nodes += [following for following, _ in node.next_functions]


def check_sizes(trial: Trial) -> str:
    """Odd and tiny sizes are fused as any other, or refused with an error of `vlfusion.errors` that says what to do."""
    refused = []
    for size in trial.awkward:
        inputs = trial.inputs(size)
        try:
            fused = trial.fuse(inputs)
        except VLFusionError as error:
            assert error.remedy, f'{size[0]}x{size[1]} is refused without a remedy: {error}'
            refused.append(f'{size[0]}x{size[1]}')
        except Exception as error:
            raise AssertionError(f'{size[0]}x{size[1]} (height x width) fails with {type(error).__name__}: {error}. '
                                 'Fuse it, or raise an error of vlfusion.errors.') from error
        else:
            _check_image(fused, inputs['source_a'])
    return f'refuses {", ".join(refused)}' if refused else ''


def check_text(trial: Trial) -> str:
    """Texts of any number of tokens are read, what stands in masked rows is not, another width is refused, and without
    text the network fuses or says that it needs some. One that reads no text takes `text=None`."""
    inputs = trial.inputs()
    if not trial.streams:
        without = trial.fuse(inputs | dict(text=None, text_mask=None))
        _check_equal(without, trial.fuse(inputs), 0, 'text=None changes the output')
        return 'reads no text'
    usual = trial.fuse(inputs)
    for token in (1, 40):
        many = trial.inputs(token=token)
        _check_image(trial.fuse(many), many['source_a'])
    for name, dim in trial.streams.items():
        filled = torch.where(inputs[f'{name}_mask'][..., None], inputs[name], 7.)
        _check_equal(trial.fuse(inputs | {name: filled}), usual, trial.tolerance, f'What {name}_mask hides is read')
        wider = inputs[name].new_zeros(*inputs[name].shape[:2], dim + 1)
        try:
            trial.fuse(inputs | {name: wider})
        except VLFusionError:
            pass
        except Exception as error:
            raise AssertionError(f'{name} of width {dim + 1} fails with {type(error).__name__}, not with an error of '
                                 'vlfusion.errors.') from error
        else:
            raise AssertionError(f'{name} of width {dim + 1} is taken by a network built for {dim}.')
    images = {name: inputs[name] for name in ('source_a', 'source_b')}
    try:
        _check_image(trial.fuse(images), images['source_a'])
    except VLFusionError:
        return 'needs text'
    return 'fuses without text'


def check_saving(trial: Trial) -> None:
    """The state goes through a file that runs no code into a copy whose weights were others, which then fuses alike."""
    inputs = trial.inputs()
    file = io.BytesIO()
    torch.save(trial.backbone.state_dict(), file)
    file.seek(0)
    other = copy.deepcopy(trial.backbone)
    with torch.no_grad():
        for value in other.state_dict().values():
            if isinstance(value, Tensor):
                value.zero_()
    other.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        _check_equal(other(**inputs), trial.fuse(inputs), 0, 'A network loaded from a file differs from the saved one')


def check_autocast(trial: Trial) -> str:
    """Under bfloat16 autocast the output is finite and within 0.1 of the one in float32."""
    inputs = trial.inputs()
    with torch.autocast(inputs['source_a'].device.type, torch.bfloat16):
        coarse = trial.fuse(inputs)
    return _check_equal(coarse.float(), trial.fuse(inputs), 0.1, 'Under bfloat16 autocast the output differs')


def check_local(trial: Trial) -> str:
    """A network that declares a halo (`vlfusion.models.locality`) reads nothing further away, and gives in tiles what
    it gives at once, within 1e-4."""
    local = locality(trial.backbone)
    if local is None:
        raise NotApplicable('declares no halo')
    # Both sides longer than the halo, and one cut in three; both where that takes no time.
    short, long = (local.multiple * -(-length // local.multiple) + (0 if local.only_multiples else 1)
                   for length in (local.halo + 8, 2 * local.margin + 3 * max(local.multiple, 8)))
    worst = 0.
    for size in ((long, short), (short, long), *([(long, long)] if long < 200 else [])):
        inputs = trial.inputs(size, batch=1)
        whole = trial.fuse(inputs)
        for kept in (max(local.multiple, 8), 2 * max(local.multiple, 6)):
            tile = 2 * local.margin + kept
            cut = plan(size, local, 'exact', tile)
            tiles = fuse_in_tiles(trial.fuse, inputs, cut)
            error = (tiles - whole).abs().max().item()
            assert error <= 1e-4, f'In tiles of {tile} pixels, {size[0]}x{size[1]} (height x width) differs by ' \
                f'{error:.3g} from the whole: halo={local.halo} is too small, or multiple={local.multiple} wrong.'
            worst = max(worst, error)
        _check_reach(trial, inputs, local)
    return f'halo {local.halo}, difference {worst:.2g}'


def _check_reach(trial: Trial, inputs: Mapping[str, Tensor], local: Locality) -> None:
    """That what is further than the halo from the middle of the image does not move the middle.

    In double precision, in which even what a deep network hardly sees is far above rounding.
    """
    precise = replace(trial, backbone=copy.deepcopy(trial.backbone).double())
    inputs = {name: value.double() if value.is_floating_point() else value for name, value in inputs.items()}
    middle = [length // 2 // local.multiple * local.multiple for length in inputs['source_a'].shape[-2:]]
    block, near = ((..., *(slice(max(place - reach, 0), place + local.multiple + reach) for place in middle))
                   for reach in (0, local.halo))
    changed = dict(inputs)
    for name in ('source_a', 'source_b'):
        changed[name] = 1 - inputs[name]
        changed[name][near] = inputs[name][near]
    try:
        calm = precise.fuse(inputs)
    except RuntimeError:  # it holds constants of single precision; that tiles equal the whole must do
        return
    moved = (precise.fuse(changed) - calm)[block].abs().max().item()
    assert moved <= 1e-12, f'A pixel moves by {moved:.3g} when only what is more than halo={local.halo} away changes.'


def check_compile(trial: Trial) -> None:
    """`torch.compile` traces the network as one graph without falling back to Python; its result is the same."""
    torch._dynamo.reset()
    inputs = trial.inputs()
    compiled = torch.compile(trial.backbone, backend='eager', fullgraph=True)
    with torch.no_grad():
        _check_equal(compiled(**inputs), trial.fuse(inputs), trial.tolerance, 'The compiled network differs')


def check_export(trial: Trial) -> None:
    """`torch.export` takes the network for one size, and the exported program gives the same."""
    inputs = trial.inputs(batch=1)
    program = torch.export.export(trial.backbone, (), dict(inputs)).module()
    with torch.no_grad():
        _check_equal(program(**inputs), trial.fuse(inputs), trial.tolerance, 'The exported program differs')


#: What every backbone must do.
CHECKS: dict[str, Callable[[Trial], str | None]] = {
    'output': check_output, 'determinism': check_determinism, 'batch': check_batch, 'gradients': check_gradients,
    'sizes': check_sizes, 'text': check_text, 'saving': check_saving, 'local': check_local}
#: What users like a backbone to do, and some methods cannot.
EXTRAS: dict[str, Callable[[Trial], str | None]] = {
    'autocast': check_autocast, 'compile': check_compile, 'export': check_export}


def _check_image(fused: Tensor, source: Tensor) -> None:
    expected = tuple(source.shape)
    assert fused.shape == expected, f'The output has shape {tuple(fused.shape)}; expected {expected}.'
    assert fused.dtype == source.dtype, f'The output is {fused.dtype}; expected {source.dtype}.'
    assert fused.isfinite().all(), f'The output holds NaN or infinity at size {expected}.'
    low, high = fused.min().item(), fused.max().item()
    assert low >= 0 and high <= 1, f'The output reaches from {low:.3g} to {high:.3g}; expected to lie within [0, 1].'


def _check_equal(one: Tensor, other: Tensor, tolerance: float, problem: str) -> str:
    error = (one - other).abs().max().item()
    assert error <= tolerance, f'{problem} by {error:.3g}; allowed is {tolerance:g}.'
    return f'difference {error:.2g}'
