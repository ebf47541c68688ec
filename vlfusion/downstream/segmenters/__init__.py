"""Segmenters that are swapped by config."""
