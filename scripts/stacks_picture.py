"""Draw docs/pictures/stacks.webp: planes of a focus stack, and the picture that is sharp everywhere.

    python scripts/stacks_picture.py FOLDER

The picture in the docs was drawn from the seven planes of `examples/pcb` of github.com/PetteriAimonen/focus-stack (MIT
licence).
"""

import sys

from pictures import OUT, save
from PIL import Image

from vlfusion import Fuser
from vlfusion.data.stacks import find_stacks

#: Width in pixels of each of the four pictures.
WIDTH = 400


def main(folder: str) -> None:
    """Fuse the stack in a folder, and draw its first, middle and last plane beside the result."""
    [stack] = find_stacks([folder])
    planes = [Image.open(path) for path in (stack.paths[0], stack.paths[len(stack.paths) // 2], stack.paths[-1])]
    fused = Image.fromarray(Fuser('laplacian-mff').fuse_stack(stack.paths).rgb)
    height = WIDTH * fused.height // fused.width
    strip = Image.new('RGB', (4 * WIDTH + 3 * 4, height), 'white')
    for place, picture in enumerate((*planes, fused)):
        strip.paste(picture.resize((WIDTH, height), Image.Resampling.LANCZOS), (place * (WIDTH + 4), 0))
    save(strip, OUT / 'stacks.webp')


if __name__ == '__main__':
    main(*sys.argv[1:])
