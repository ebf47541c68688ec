"""Downstream tasks: detection and segmentation of fused pictures, and whether fusion helped.

Labels are read by parts of the registry `LABELS`, predictions come from files or from parts of `DETECTORS` and
`SEGMENTERS`, and scores of both stand beside the rows of each source alone.
"""
