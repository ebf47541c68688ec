"""Default for VLFUSION_SHARED, the folder of real image pairs and reference outputs: `shared` beside the checkout."""

import os
from pathlib import Path

os.environ.setdefault('VLFUSION_SHARED', str(Path(__file__).parents[2] / 'shared'))
