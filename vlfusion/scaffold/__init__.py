"""The files that `vlfusion new-plugin` writes."""
