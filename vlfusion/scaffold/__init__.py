"""Files of a new plugin, which `vlfusion new-plugin` writes."""
