"""Sphinx configuration: sphinx-build docs docs/_build"""

project = 'vlfusion'
extensions = ['myst_parser', 'sphinxcontrib.mermaid']
source_suffix = {'.md': 'markdown'}
exclude_patterns = ['_build']
html_theme = 'alabaster'
# GitHub draws ```mermaid by itself; here it is a directive.
myst_fence_as_directive = ['mermaid']
# Headings down to ### are targets of links such as data.md#patterns.
myst_heading_anchors = 3
# Links to READMEs and folders outside docs/ are for readers of the repository; tests/test_links.py holds all links.
suppress_warnings = ['myst.xref_missing']
