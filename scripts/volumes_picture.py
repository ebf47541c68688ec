"""Draw docs/pictures/volumes.webp: an MRI and an oblique PET, fused as docs/howto/volumes.md says.

    python scripts/volumes_picture.py

The MRI is the MNI152 template that ships with nilearn, in slices of 4 mm. The PET is simulated from its tissue maps at
3 mm: grey matter takes up four times as much as white, blurred as by a scanner of 6 mm. Its grid is turned by 15
degrees, so the picture shows it on the grid of the MRI.
"""

import tempfile
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

from vlfusion import fuse_volumes

OUT = Path(__file__).parents[1] / 'docs/pictures/volumes.webp'
#: Axial slices of the template from the temporal poles to the vertex, 4 mm apart.
SLICES = slice(36, 128, 4)
SHAPE, SPACING, ANGLE = (70, 80, 36), 3., 15.


def main() -> None:
    from nilearn.datasets import load_mni152_gm_template, load_mni152_template, load_mni152_wm_template
    from nilearn.image import resample_img, smooth_img
    mri, grey, white = (load(resolution=1) for load in (load_mni152_template, load_mni152_gm_template,
                                                        load_mni152_wm_template))
    uptake = nibabel.Nifti1Image(grey.get_fdata() + white.get_fdata() / 4, grey.affine)
    cosine, sine = np.cos(np.radians(ANGLE)), np.sin(np.radians(ANGLE))
    oblique = np.eye(4)
    oblique[:3, :3] = SPACING * np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    oblique[:3, 3] = np.array([0, -18, 8]) - oblique[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    pet = resample_img(smooth_img(uptake, 6), oblique, SHAPE, force_resample=True, copy_header=True)
    thick = mri.slicer[:, :, SLICES]
    with tempfile.TemporaryDirectory() as folder:
        thick.to_filename(f'{folder}/mri.nii.gz')
        pet.to_filename(f'{folder}/pet.nii.gz')
        fuse_volumes('film-mif', f'{folder}/mri.nii.gz', f'{folder}/pet.nii.gz', f'{folder}/look.png', colormap='hot',
                     every=4, modality_b='PET')
        picture = Image.open(f'{folder}/look.png')
        picture.resize((1200, round(1200 * picture.height / picture.width)), Image.LANCZOS).save(OUT, quality=80)


if __name__ == '__main__':
    main()
