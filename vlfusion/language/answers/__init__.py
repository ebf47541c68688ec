"""Answers of language models: read, cleaned, and checked against a schema."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'clean': ['FILTER_REASONS', 'Message', 'chatter', 'encodable', 'is_filtered', 'message', 'prose', 'read',
              'readable', 'reasoned', 'refusal', 'refused'],
})
