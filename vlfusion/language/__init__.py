"""The language stage: images -> observations -> paragraph -> token features, kept in a text store.

It and `vlfusion.models` never import one another; they meet in the files of the store.
"""
