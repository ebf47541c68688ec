"""What every fusion backbone must do, whatever it computes."""

import torch
from torch import Tensor, nn


def check_backbone(backbone: nn.Module, text_dim: int | None = None, size: tuple[int, int] = (20, 28),
                   tolerance: float = 1e-5) -> None:
    """Check what training, testing and fusing rely on. The backbone is left in evaluation mode; its state is unchanged.

    At `size` and at its transpose: the output is `(batch, 1, h, w)`, finite and within [0, 1], also for black images;
    the gradient reaches each parameter and is finite, also for black images; a batch gives what its images give singly.

    Args:
        backbone: a freshly built network.
        text_dim: width of the text features it reads; None for a backbone that reads no text.
        size: height and width of the images, for a network that takes only multiples of something.
        tolerance: how far a batch may differ from its singles, for one with large sums.

    >>> class Mean(nn.Module):
    ...     def forward(self, source_a, source_b, text=None, text_mask=None):
    ...         return (source_a + source_b) / 2
    >>> check_backbone(Mean())

    Raises:
        AssertionError: the check that failed, with the parameter's name or the sizes.
    """
    backbone.eval()
    for size_now in (size, size[::-1]):
        inputs = _inputs(backbone, size_now, text_dim)
        _check_output(backbone, inputs)
        _check_gradients(backbone, inputs)
        _check_batch(backbone, inputs, tolerance)
        black = inputs | {name: torch.zeros_like(inputs[name]) for name in ('source_a', 'source_b')}
        _check_output(backbone, black)
        _check_gradients(backbone, black, everywhere=False)


def _inputs(backbone: nn.Module, size: tuple[int, int], text_dim: int | None) -> dict[str, Tensor]:
    """Two random pairs; the second text is two tokens shorter than the first and padded with zero rows."""
    generator = torch.Generator().manual_seed(0)
    inputs = {name: torch.rand(2, 1, *size, generator=generator) for name in ('source_a', 'source_b')}
    if text_dim is not None:
        mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
        inputs |= dict(text=torch.randn(2, 6, text_dim, generator=generator) * mask[..., None], text_mask=mask)
    device = next(backbone.parameters(), torch.empty(0)).device
    return {name: value.to(device) for name, value in inputs.items()}


def _check_output(backbone: nn.Module, inputs: dict[str, Tensor]) -> None:
    with torch.no_grad():
        fused = backbone(**inputs)
    expected = tuple(inputs['source_a'].shape)
    assert fused.shape == expected, f'The output has shape {tuple(fused.shape)}; expected {expected}.'
    assert fused.isfinite().all(), f'The output holds NaN or infinity at size {expected}.'
    low, high = fused.min().item(), fused.max().item()
    assert low >= 0 and high <= 1, f'The output reaches from {low:.3g} to {high:.3g}; expected to lie within [0, 1].'


def _check_gradients(backbone: nn.Module, inputs: dict[str, Tensor], everywhere: bool = True) -> None:
    named = {name: parameter for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    if not named:
        return
    fused = backbone(**inputs)
    # Not the plain sum: its gradient vanishes wherever a network normalises.
    target = torch.rand(fused.shape, generator=torch.Generator().manual_seed(1)).to(fused)
    gradients = torch.autograd.grad((fused - target).square().sum(), named.values(), allow_unused=True)
    for name, gradient in zip(named, gradients, strict=True):
        assert gradient is not None and (not everywhere or gradient.any()), f'No gradient for {name}.'
        assert gradient.isfinite().all(), f'The gradient for {name} holds NaN or infinity.'


def _check_batch(backbone: nn.Module, inputs: dict[str, Tensor], tolerance: float) -> None:
    with torch.no_grad():
        batch = backbone(**inputs)
        singles = [backbone(**{name: value[i:i + 1] for name, value in inputs.items()}) for i in range(len(batch))]
    error = (batch - torch.cat(singles)).abs().max().item()
    assert error <= tolerance, f'A batch differs from its images fused singly by {error:.3g}; allowed is {tolerance:g}.'
