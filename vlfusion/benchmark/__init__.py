"""Comparing methods on data sets: scores, significant differences, tables, costs, a report.

Names are loaded at first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'comparison': ['Comparison', 'run_plan'],
    'plan': ['Plan', 'load_plan'],
})
