"""Formats of labels, and the published data sets that use them."""
