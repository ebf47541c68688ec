"""Checks of fusion backbones: one for each property that vlfusion or its users rely on.

`check_backbone` stops at the first failure, for tests. `survey_backbone` runs every check and returns the outcomes that
`vlfusion check-plugin` prints.
"""

import copy
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from itertools import chain, product

import torch
from torch import Tensor, nn

from vlfusion.engine.compat import quiet_tracing
from vlfusion.errors import VLFusionError
from vlfusion.inference.tiling import fuse_in_tiles, plan
from vlfusion.models import Locality, locality, map_inputs, needed_texts, text_dims
from vlfusion.models.stacks import Mapped, fuses_stacks
from vlfusion.testing.toy_device import check_on_toy_device, unavailable

#: Image sizes (height, width) that break code written for large, even sizes.
AWKWARD = ((17, 23), (33, 20), (9, 40), (5, 4), (2, 2))

#: Random states to try before a parameter whose gradient is always zero is reported.
STATES = 6


@dataclass(frozen=True)
class Outcome:
    """Result of one check; `holds` is None if the check does not apply."""

    check: str
    holds: bool | None
    detail: str = ''


@dataclass(frozen=True)
class Trial:
    """A backbone under test and its inputs; the fields are arguments of `check_backbone`."""

    backbone: nn.Module
    text_dim: int | Mapping[str, int] | None = None
    size: tuple[int, int] = (20, 28)
    tolerance: float = 1e-5
    awkward: Sequence[tuple[int, int]] = AWKWARD

    @cached_property
    def streams(self) -> dict[str, int]:
        """Widths of the texts that the backbone reads, by keyword."""
        return text_dims(self.backbone if self.text_dim is None else self)

    @cached_property
    def images(self) -> tuple[str, ...]:
        """Keywords of the sources and of the maps that the backbone reads."""
        return 'source_a', 'source_b', *map_inputs(self.backbone)

    @property
    def text_optional(self) -> bool | Sequence[str]:
        """The backbone's declaration of texts that it may do without."""
        return getattr(self.backbone, 'text_optional', False)

    @property
    def optional(self) -> list[str]:
        """Names of the texts that the backbone may do without."""
        needed = needed_texts(self.backbone if self.text_dim is None else self)
        return [name for name in self.streams if name not in needed]

    @property
    def without_text(self) -> 'Trial | None':
        """The same trial without the texts that the backbone may do without; None if it needs all that it reads."""
        needed = {name: dim for name, dim in self.streams.items() if name not in self.optional}
        return replace(self, text_dim=needed) if self.optional else None

    def inputs(self, size: tuple[int, int] | None = None, batch: int = 2, token: int = 6) -> dict[str, Tensor]:
        """Draw random pairs with the maps that the backbone reads, and random features for each text.

        In a batch of two or more, the second text is two tokens shorter and padded with zero rows. No text is longer
        than the backbone's attribute `text_tokens`.
        """
        token = min(token, getattr(self.backbone, 'text_tokens', token))
        generator = torch.Generator().manual_seed(0)
        inputs = {name: torch.rand(batch, 1, *(size or self.size), generator=generator)
                  for name in self.images}
        for name, dim in self.streams.items():
            mask = torch.ones(batch, token, dtype=torch.bool)
            mask[1:2, max(1, token - 2):] = False
            inputs |= {name: torch.randn(batch, token, dim, generator=generator) * mask[..., None],
                       f'{name}_mask': mask}
        tensor = next(chain(self.backbone.parameters(), self.backbone.buffers()), torch.empty(0))
        return {name: value.to(tensor.device) for name, value in inputs.items()}

    @torch.no_grad()
    def fuse(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.backbone(**inputs)


class NotApplicable(Exception):
    """Raised by a check that does not apply."""


def check_backbone(backbone: nn.Module, text_dim: int | Mapping[str, int] | None = None,
                   size: tuple[int, int] = (20, 28), tolerance: float = 1e-5, also: Iterable[str] = (),
                   awkward: Sequence[tuple[int, int]] = AWKWARD) -> None:
    """Run the checks that training, testing and fusing rely on, and stop at the first failure.

    `CHECKS` lists them; the docstring of each says what it requires. The backbone is left in evaluation mode with its
    state unchanged.

    Args:
        backbone: freshly built network.
        text_dim: width of the text features that the network reads, or widths by keyword if it reads several texts.
            By default its attribute `text_dim`; a network without that attribute reads no text.
        size: height and width of the images, for a network that takes only multiples of a number.
        tolerance: largest difference between a batch and its images fused singly; raise it for a network with large
            sums.
        also: names of checks in `EXTRAS` to run too.
        awkward: odd and tiny sizes (height, width) to try.

    >>> class Mean(nn.Module):
    ...     def forward(self, source_a, source_b, text=None, text_mask=None):
    ...         return (source_a + source_b) / 2
    >>> check_backbone(Mean(), also=['export'])

    Raises:
        AssertionError: a check failed; the message names it, with the parameter or the sizes.
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
    """Run every check, including `EXTRAS`, and return the outcomes. Arguments as for `check_backbone`."""
    backbone.eval()
    trial = Trial(backbone, text_dim, size, tolerance)
    return [outcome(name, check, trial) for name, check in {**CHECKS, **EXTRAS}.items()]


def outcome(name: str, check: Callable, *subject) -> Outcome:
    """Run one check on its subject. Any error inside becomes an outcome too."""
    try:
        with quiet_tracing():
            return Outcome(name, True, check(*subject) or '')
    except NotApplicable as reason:
        return Outcome(name, None, str(reason))
    except Exception as error:  # code under test may fail in any way
        words = str(error) if isinstance(error, AssertionError) else f'{type(error).__name__}: {error}'
        return Outcome(name, False, words.strip().partition('\n')[0])


def both_ways(check: Callable[[Trial], str | None]) -> Callable[[Trial], str | None]:
    """Let a check run without the optional texts too, if the backbone declares any by `text_optional`."""
    @wraps(check)
    def run(trial: Trial) -> str | None:
        detail = check(trial)
        if other := trial.without_text:
            try:
                check(other)
            except Exception as error:
                raise AssertionError(f'Without {", ".join(trial.optional)}: {error}') from error
        return detail
    return run


@both_ways
def check_output(trial: Trial) -> None:
    """Require an output of the sources' shape and type, finite and within [0, 1].

    Black images, white images and the transposed size are tried too.
    """
    for size in (trial.size, trial.size[::-1]):
        inputs = trial.inputs(size)
        _check_image(trial.fuse(inputs), inputs['source_a'])
        for level in (0., 1.):
            flat = inputs | {name: torch.full_like(inputs[name], level) for name in trial.images}
            _check_image(trial.fuse(flat), flat['source_a'])


@both_ways
def check_batch(trial: Trial) -> None:
    """Require of a batch the same result as of its images singly."""
    inputs = trial.inputs()
    batch = trial.fuse(inputs)
    singles = torch.cat([trial.fuse({name: value[i:i + 1] for name, value in inputs.items()})
                         for i in range(len(batch))])
    _check_equal(batch, singles, trial.tolerance, 'A batch differs from its images fused singly')


@both_ways
def check_determinism(trial: Trial) -> None:
    """Require bit-identical outputs for identical inputs, and inputs that are left unchanged."""
    inputs = trial.inputs()
    before = {name: value.clone() for name, value in inputs.items()}
    first, second = trial.fuse(inputs), trial.fuse(inputs)
    changed = [name for name, value in inputs.items() if not torch.equal(value, before[name])]
    assert not changed, f'The forward pass changes its input {changed[0]}.'
    assert torch.equal(first, second), f'Two calls differ by {(first - second).abs().max().item():.3g}.'


def check_gradients(trial: Trial) -> None:
    """Require a finite gradient for each trainable parameter in training mode, also for black images.

    Every trainable tensor must be a parameter of the network. If a text or a map is optional, each parameter needs a
    gradient either with it or without.
    """
    backbone = copy.deepcopy(trial.backbone).train()
    named = {name: parameter for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    if not named:
        raise NotApplicable('no trainable parameters')
    silent, other = set(named), trial.without_text
    maps = {name for name, required in map_inputs(trial.backbone).items() if not required}
    ways = list(product((trial, other) if other else (trial,), (set(), maps) if maps else (set(),)))
    for draw in range(STATES):
        for (way, left_out), size in product(ways, (trial.size, trial.size[::-1])):
            inputs = {name: value for name, value in way.inputs(size).items() if name not in left_out}
            gradients = _gradients(backbone, named, inputs, all_used=len(ways) == 1)
            silent -= {name for name, gradient in gradients.items() if gradient is not None and gradient.any()}
            if draw == 0:
                black = {name: torch.zeros_like(inputs[name]) for name in trial.images if name in inputs}
                _gradients(backbone, named, inputs | black, all_used=len(ways) == 1)
        if not silent:
            return
        # In some random states a ReLU lets nothing through. That is no fault of the network, so try another state.
        with torch.no_grad():
            for parameter in named.values():
                parameter += torch.randn_like(parameter) * (parameter.std(correction=0) + 0.01)
    raise AssertionError(f'No gradient for {min(silent)}: it is zero from {STATES} states.')


def _gradients(backbone: nn.Module, named: Mapping[str, Tensor], inputs: Mapping[str, Tensor],
               all_used: bool) -> dict[str, Tensor | None]:
    fused = backbone(**inputs)
    assert fused.requires_grad, f'No gradient for {next(iter(named))}: the output depends on no parameter.'
    parameters = {id(parameter) for parameter in backbone.parameters()}
    stray = [leaf for leaf in _leaves(fused) if id(leaf) not in parameters]
    assert not stray, f'A tensor {tuple(stray[0].shape)} learns and is no parameter of the network, so it is in no ' \
        'checkpoint. Hold layers in nn.ModuleList and tensors in nn.Parameter.'
    # Not the plain sum: its gradient vanishes wherever a network normalises.
    target = torch.rand(fused.shape, generator=torch.Generator().manual_seed(1)).to(fused)
    gradients = torch.autograd.grad((fused - target).square().sum(), named.values(), allow_unused=True)
    for name, gradient in zip(named, gradients, strict=True):
        assert gradient is not None or not all_used, f'No gradient for {name}: the output does not depend on it.'
        assert gradient is None or gradient.isfinite().all(), f'The gradient for {name} holds NaN or infinity.'
    return dict(zip(named, gradients, strict=True))


def _leaves(output: Tensor) -> Iterator[Tensor]:
    """Yield the tensors that accumulate a gradient of the output."""
    nodes, seen = [output.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, 'variable'):
            yield node.variable
        nodes += [following for following, _ in node.next_functions]


@both_ways
def check_sizes(trial: Trial) -> str:
    """Require that odd and tiny sizes are fused, or refused by an error of `vlfusion.errors` with a remedy."""
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
    """Require that texts of any number of tokens, up to `text_tokens`, are read and masked rows are not.

    Text of another width, or of more tokens, must be refused by an error of `vlfusion.errors`. Without text the network
    fuses, or says that it needs text. It fuses without the texts that `text_optional` declares. One that is named there
    may also have no real token, for single pairs of a batch, and then counts as absent. A network that reads no text
    must accept `text=None`.
    """
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
        _check_equal(trial.fuse(inputs | {name: filled}), usual, trial.tolerance,
                     f'Rows hidden by {name}_mask change the output')
        wider = inputs[name].new_zeros(*inputs[name].shape[:2], dim + 1)
        _check_refused(trial, inputs | {name: wider}, f'{name} of width {dim + 1}', dim)
        if most := getattr(trial.backbone, 'text_tokens', 0):
            longer = inputs[name][:, :1].expand(-1, most + 1, -1)
            _check_refused(trial, inputs | {name: longer, f'{name}_mask': None}, f'{name} of {most + 1} tokens', most)
    if trial.optional:
        _check_optional(trial, inputs, usual)
    images = {name: inputs[name] for name in trial.images}
    try:
        _check_image(trial.fuse(images), images['source_a'])
    except VLFusionError:
        return f'needs text, but no {", ".join(trial.optional)}' if trial.optional else 'needs text'
    return 'fuses without text'


def _check_optional(trial: Trial, inputs: Mapping[str, Tensor], usual: Tensor) -> None:
    """Check that optional texts can be left out, all at once, or one for a single pair of a batch."""
    left_out = {name for text in trial.optional for name in (text, f'{text}_mask')}
    try:
        without = trial.fuse({name: value for name, value in inputs.items() if name not in left_out})
    except VLFusionError as error:
        raise AssertionError('The network declares text_optional, but does not fuse without '
                             f'{", ".join(trial.optional)}: {error}') from error
    _check_image(without, inputs['source_a'])
    if trial.text_optional is True:
        return
    hidden = {f'{name}_mask': inputs[f'{name}_mask'].clone() for name in trial.optional}
    for mask in hidden.values():
        mask[0] = False
    expected = torch.cat((without[:1], usual[1:]))
    _check_equal(trial.fuse({**inputs, **hidden}), expected, trial.tolerance,
                 f'A pair whose {", ".join(trial.optional)} is all padding differs from one without')


def _check_refused(trial: Trial, inputs: Mapping[str, Tensor | None], what: str, limit: int) -> None:
    try:
        trial.fuse(inputs)
    except VLFusionError:
        return
    except Exception as error:
        raise AssertionError(f'{what} fails with {type(error).__name__}, not with an error of vlfusion.errors.'
                             ) from error
    raise AssertionError(f'{what} is taken by a network built for {limit}.')


@both_ways
def check_maps(trial: Trial) -> str:
    """Require that the network fuses without the maps that it declares as optional."""
    declared = map_inputs(trial.backbone)
    if not declared:
        raise NotApplicable('reads no maps')
    optional = [name for name, required in declared.items() if not required]
    inputs = trial.inputs()
    _check_image(trial.fuse({name: value for name, value in inputs.items() if name not in optional}),
                 inputs['source_a'])
    return f'optional: {", ".join(optional) or "none"}'


def check_stack(trial: Trial) -> str:
    """Require of a network with `sources = None` that it fuses stacks (`vlfusion.models.stacks`).

    Two sources give the result of `forward`, and three an image. Sources are only iterated over.
    """
    if not fuses_stacks(trial.backbone):
        raise NotApplicable('fuses pairs')
    inputs = trial.inputs()
    three = inputs['source_a'], inputs['source_b'], inputs['source_a'].flip(3)
    with torch.no_grad():
        of_two, of_three = (trial.backbone.fuse_stack(Mapped(three[:count], torch.clone)) for count in (2, 3))
    _check_image(of_three, three[0])
    return _check_equal(of_two, trial.fuse(inputs), trial.tolerance, 'A stack of two differs from the pair')


@both_ways
def check_saving(trial: Trial) -> None:
    """Require that a copy with other weights fuses identically once it has loaded the saved state (weights only)."""
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


@both_ways
def check_device(trial: Trial) -> str:
    """Require on a device other than the CPU the same output, and a backward pass.

    A tensor that `forward` makes without `device=` lies on the CPU, and operations with it fail on a GPU.
    """
    if reason := unavailable():
        raise NotApplicable(reason)
    inputs = trial.inputs()
    with check_on_toy_device('The network') as device:
        moved = replace(trial, backbone=copy.deepcopy(trial.backbone).to(device))
        moved_inputs = {name: value.to(device) for name, value in inputs.items()}
        fused = moved.fuse(moved_inputs).cpu()
        if any(parameter.requires_grad for parameter in moved.backbone.parameters()):
            moved.backbone.train()(**moved_inputs).square().sum().backward()
    return _check_equal(fused, trial.fuse(inputs).cpu(), trial.tolerance, 'On another device the output differs')


@both_ways
def check_autocast(trial: Trial) -> str:
    """Require a finite output under bfloat16 autocast, within 0.1 of the output in float32."""
    inputs = trial.inputs()
    with torch.autocast(inputs['source_a'].device.type, torch.bfloat16):
        coarse = trial.fuse(inputs)
    return _check_equal(coarse.float(), trial.fuse(inputs), 0.1, 'Under bfloat16 autocast the output differs')


@both_ways
def check_bfloat16(trial: Trial) -> str:
    """Require that weights may be cast to bfloat16, if the attribute `bfloat16_weights` is True.

    The network then takes float32 images, and its output is finite and within 0.1 of that in float32.
    """
    if not getattr(trial.backbone, 'bfloat16_weights', False):
        raise NotApplicable('does not declare bfloat16_weights')
    inputs = trial.inputs()
    coarse = replace(trial, backbone=copy.deepcopy(trial.backbone).bfloat16()).fuse(inputs)
    return _check_equal(coarse.float(), trial.fuse(inputs), 0.1, 'With weights in bfloat16 the output differs')


@both_ways
def check_local(trial: Trial) -> str:
    """Require that a declared halo (`vlfusion.models.locality`) is true.

    Pixels beyond the halo must not change the output, and fusing in tiles must agree with fusing at once within 1e-4.
    """
    local = locality(trial.backbone)
    if local is None:
        raise NotApplicable('declares no halo')
    # Both sides are longer than the halo, and one is cut in three. Both are if the image stays small.
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
                f'{error:.3g} from the whole: halo={local.halo} is too small, or multiple={local.multiple} is wrong.'
            worst = max(worst, error)
        _check_reach(trial, inputs, local)
    return f'halo {local.halo}, difference {worst:.2g}'


def _check_reach(trial: Trial, inputs: Mapping[str, Tensor], local: Locality) -> None:
    """Check that pixels farther than the halo from the middle of the image do not change the middle.

    Runs in double precision, where even a weak influence through a deep network is far above rounding.
    """
    precise = replace(trial, backbone=copy.deepcopy(trial.backbone).double())
    inputs = {name: value.double() if value.is_floating_point() else value for name, value in inputs.items()}
    middle = [length // 2 // local.multiple * local.multiple for length in inputs['source_a'].shape[-2:]]
    block, near = ((..., *(slice(max(place - reach, 0), place + local.multiple + reach) for place in middle))
                   for reach in (0, local.halo))
    changed = dict(inputs)
    for name in trial.images:
        changed[name] = 1 - inputs[name]
        changed[name][near] = inputs[name][near]
    try:
        unchanged = precise.fuse(inputs)
    except RuntimeError:  # constants in single precision; the comparison of tiles has to suffice
        return
    change = (precise.fuse(changed) - unchanged)[block].abs().max().item()
    assert change <= 1e-12, \
        f'A pixel changes by {change:.3g} although only pixels more than halo={local.halo} away were changed.'


@both_ways
def check_compile(trial: Trial) -> None:
    """Require that `torch.compile` traces the network as one graph without Python fallbacks, with the same result."""
    torch._dynamo.reset()
    inputs = trial.inputs()
    compiled = torch.compile(trial.backbone, backend='eager', fullgraph=True)
    with torch.no_grad():
        _check_equal(compiled(**inputs), trial.fuse(inputs), trial.tolerance, 'The compiled network differs')


@both_ways
def check_export(trial: Trial) -> None:
    """Require that `torch.export` exports the network for one size, with the same result."""
    inputs = trial.inputs(batch=1)
    program = torch.export.export(trial.backbone, (), dict(inputs)).module()
    with torch.no_grad():
        _check_equal(program(**inputs), trial.fuse(inputs), trial.tolerance, 'The exported program differs')


#: Checks that every backbone must pass.
CHECKS: dict[str, Callable[[Trial], str | None]] = {
    'output': check_output, 'determinism': check_determinism, 'batch': check_batch, 'gradients': check_gradients,
    'sizes': check_sizes, 'text': check_text, 'maps': check_maps, 'stack': check_stack, 'saving': check_saving,
    'local': check_local, 'device': check_device, 'bfloat16': check_bfloat16}
#: Desirable properties that some methods cannot have.
EXTRAS: dict[str, Callable[[Trial], str | None]] = {
    'autocast': check_autocast, 'compile': check_compile, 'export': check_export}


def _check_image(fused: Tensor, source: Tensor) -> None:
    expected = tuple(source.shape)
    assert fused.shape == expected, f'The output has shape {tuple(fused.shape)}; expected {expected}.'
    assert fused.dtype == source.dtype, f'The output is {fused.dtype}; expected {source.dtype}.'
    assert fused.isfinite().all(), f'The output holds NaN or infinity at size {expected}.'
    low, high = fused.min().item(), fused.max().item()
    assert low >= 0 and high <= 1, f'The output ranges from {low:.3g} to {high:.3g}; expected values within [0, 1].'


def _check_equal(output: Tensor, expected: Tensor, tolerance: float, problem: str) -> str:
    error = (output - expected).abs().max().item()
    assert error <= tolerance, f'{problem} by {error:.3g}; allowed is {tolerance:g}.'
    return f'difference {error:.2g}'
