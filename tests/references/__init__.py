"""Every metric once more, as the field writes it: numpy and scipy, one image at a time, each metric for itself.

They share no code with `vlfusion`. Tests hold the package against them, and `performance/metrics.py` measures its time
against theirs. Each is a function `(fused, source_a, source_b) -> float` of 2-D float64 arrays of grey levels 0..255.
"""

from references import features, information, perception, pixels, similarity, visual

REFERENCES = {name: function for module in (pixels, information, similarity, visual, perception, features)
              for name, function in module.REFERENCES.items()}
