"""Small kernels, made on the device of an image.

A kernel that lies on the host would be copied at each call, and the host would wait until the device is done.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def derivative_kernels(like: Tensor, corner: float = 1., middle: float = 2.) -> Float[Tensor, '2 1 3 3']:
    """Make the kernels of differences along x (to the right) and y (downwards), without normalisation.

    Args:
        like: tensor whose device and type the kernels get.
        corner, middle: weights of the outer rows and of the middle row: 1 and 2 are Sobel's, 3 and 10 Scharr's.

    >>> derivative_kernels(torch.zeros(1))[0, 0]
    tensor([[-1.,  0.,  1.],
            [-2.,  0.,  2.],
            [-1.,  0.,  1.]])
    """
    along_x = like.new_zeros(3, 3)
    along_x[:, 0], along_x[:, 2] = -corner, corner
    along_x[1, 0], along_x[1, 2] = -middle, middle
    return torch.stack([along_x, along_x.T])[:, None]


def symmetric_kernel(like: Tensor, corner: float, edge: float, middle: float) -> Float[Tensor, '1 1 3 3']:
    """Make a kernel with one value in its corners, one at its edges and one in its middle: a Laplacian, a blur.

    >>> symmetric_kernel(torch.zeros(1), corner=0, edge=1, middle=-4)[0, 0]
    tensor([[ 0.,  1.,  0.],
            [ 1., -4.,  1.],
            [ 0.,  1.,  0.]])
    """
    kernel = like.new_full((1, 1, 3, 3), corner)
    kernel[..., 1, :] = kernel[..., :, 1] = edge
    kernel[..., 1, 1] = middle
    return kernel
