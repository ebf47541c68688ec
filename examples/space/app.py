"""The page of `vlfusion app` as a Hugging Face Space, or on any server of your own."""

import signal
import sys

from vlfusion.app.limits import Limits
from vlfusion.app.serve import launch_options, make_page

#: Smaller than on your own machine, because strangers upload.
LIMITS = Limits(bytes=16 << 20, pixels=4_000_000, files=50, voxels=16_000_000)

demo = make_page('film-guide-mif', limits=LIMITS)

if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an end by which uploads are removed
    demo.launch(**launch_options(LIMITS))
