"""Modulation: while an image is sampled, its fusion control module learns to raise the objects in a mask.

At each step the plain fusion of a small copy of the images is the target that the objects may leave: one step of AdamW
changes the module, which then fuses the images at full size. Outside the mask the plain fusion stays.
"""

import copy
import math
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from vlfusion.models.layers.autocast import without_autocast
from vlfusion_textdifuse.diffusion import Image, seeded_noise
from vlfusion_textdifuse.losses import modulation_loss


def modulate(network: torch.nn.Module, sources: Sequence[Image], mask: Float[Tensor, '1 1 h w'], *, side: int = 256,
             learning_rate: float = 2e-5) -> Image:
    """Fuse one pair and raise the objects in a mask. Needs about three times the time of plain fusion.

    The network stays as it is: the module that learns is a copy. Gradients are switched on inside, so it works under
    `torch.no_grad` and `torch.inference_mode`.

    Args:
        network: a `TextDiFuse`.
        sources: the two sources as `TextDiFuse.sample` takes them.
        mask: 1 inside the objects, else 0.
        side: shorter side of the small copy in pixels. Small images are enlarged to it.
        learning_rate: step size of AdamW.

    Returns:
        The fused image in [-1, 1].
    """
    leaving = torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext()
    with leaving, torch.no_grad():
        # Tensors made in inference mode cannot take part in a backward pass; their clones can.
        sources, mask = [source.clone() for source in sources], mask.clone()
        small = [shrink(source, side, network.multiple) for source in sources]
        small_mask = shrink(mask, side, network.multiple).gt(0.5).to(mask)
        control = copy.deepcopy(network.control).requires_grad_(True)
        optimizer = torch.optim.AdamW(control.parameters(), learning_rate, weight_decay=0)
        plain = raised = seeded_noise(sources[0], network.seed)
        learning = seeded_noise(small[0], network.seed)
        for step in network.steps():
            plain, clean = network.denoise(plain, step, network.encode(plain, step, sources))
            maps = network.encode(learning, step, small)
            with torch.enable_grad():
                mean, estimate = network.denoise(learning, step, maps, control)
                with without_autocast(mask.device):  # edges are differences of nearly equal numbers
                    target = shrink(clean, side, network.multiple)
                    loss = modulation_loss((estimate.to(mask) + 1) / 2, (target.to(mask) + 1) / 2, small_mask)
            for parameter, gradient in zip(control.parameters(), torch.autograd.grad(loss, [*control.parameters()]),
                                           strict=True):
                parameter.grad = gradient
            optimizer.step()
            learning = mean.detach()
            raised, _ = network.denoise(raised, step, network.encode(raised, step, sources), control)
            raised = torch.where(mask > 0, raised, plain)
        return raised


def shrink(image: Image, side: int, multiple: int) -> Float[Tensor, 'batch 1 height width']:
    """Resize an image to a shorter side of `side` pixels, with both sides rounded up to a multiple."""
    scale = side / min(image.shape[2:])
    size = [math.ceil(int(length * scale) / multiple) * multiple for length in image.shape[2:]]
    return interpolate(image, size, mode='bilinear', antialias=True)
