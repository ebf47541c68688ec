"""Volumes: reading NIfTI files and DICOM series, one grid for two of them, windows, and writing what was fused."""
