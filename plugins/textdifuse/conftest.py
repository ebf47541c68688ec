"""Configs read values of `_base_`, which MMEngine understands and Python does not: pytest is kept away from them."""

collect_ignore = ['configs']
