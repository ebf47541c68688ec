"""Detectors that are swapped by config."""
