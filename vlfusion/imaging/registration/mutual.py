"""Registration by mutual information, through SimpleITK (Mattes et al., IEEE TMI 22, 2003)."""

import cv2
import numpy as np
from jaxtyping import Float

from vlfusion.errors import needs
from vlfusion.imaging.registration.motion import Matrix, in_pixels, normalised, rotation_and_scale
from vlfusion.imaging.registration.warp import covered, shrink, warp

Plane = Float[np.ndarray, 'h w']
#: Longer side of the images that are compared, in pixels.
LONGEST = 512
_BINS, _STEPS = 32, 100


def maximise(image_a: Plane, image_b: Plane, start: Matrix, motion: str) -> tuple[Matrix, float] | None:
    """Find the movement near `start` that maximises the mutual information of two images.

    Args:
        image_a: luminance of source A.
        image_b: luminance of source B, of the same size.
        start: movement in normalised coordinates; what goes beyond a similarity is left out.
        motion: kind of movement: `rigid`, `similarity` or `affine`.

    Returns:
        The movement in normalised coordinates, and the mutual information in nats; None if too few pixels overlap.

    Raises:
        VLFusionError: SimpleITK is missing.
    """
    with needs('Registration', 'SimpleITK', 'registration'):
        import SimpleITK as sitk
    fixed, moving = (sitk.GetImageFromArray(shrink(image, LONGEST)) for image in (image_a, image_b))
    size = fixed.GetSize()[::-1]
    transform = {'rigid': sitk.Euler2DTransform, 'similarity': sitk.Similarity2DTransform,
                 'affine': lambda: sitk.AffineTransform(2)}[motion]()
    centre = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    transform.SetCenter(centre.tolist())
    pixels = in_pixels(start, size)
    turn, scale = rotation_and_scale(pixels)
    if motion == 'affine':
        transform.SetMatrix(pixels[:2, :2].ravel().tolist())
    else:
        transform.SetAngle(-np.radians(turn))
    if motion == 'similarity':
        transform.SetScale(scale)
    transform.SetTranslation((pixels[:2, :2] @ centre + pixels[:2, 2] - centre).tolist())

    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfWorkUnits(1)  # more of them add in any order, so results would vary
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1., 1e-3, _STEPS, relaxationFactor=0.6,
                                                    gradientMagnitudeTolerance=1e-8)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0.5])
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:  # ITK's error if too few pixels overlap
        return None
    linear, shift = np.reshape(transform.GetMatrix(), (2, 2)), np.array(transform.GetTranslation())
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, shift + centre - linear @ centre
    return normalised(matrix, size), -method.GetMetricValue()


def information(image_a: Plane, image_b: Plane, matrix: Matrix) -> float:
    """Mutual information in nats of two images under a movement, from 32x32 grey levels of their common pixels.

    Args:
        image_a: luminance of source A.
        image_b: luminance of source B, of the same size.
        matrix: movement in normalised coordinates.
    """
    a, b = shrink(image_a, LONGEST), shrink(image_b, LONGEST)
    pixels = in_pixels(matrix, a.shape)
    shown = covered(b.shape, pixels, a.shape)
    counts, _, _ = np.histogram2d(a[shown], warp(b, pixels, a.shape, cv2.INTER_LINEAR)[shown], _BINS)
    if not counts.sum():
        return 0.
    joint = counts / counts.sum()
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    return float((joint[joint > 0] * np.log(joint[joint > 0] / independent[joint > 0])).sum())
