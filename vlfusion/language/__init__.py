"""The language stage: images -> observations -> paragraph -> token features, kept in a text store.

This room and `vlfusion.models` never import each other. They share only the files of the store.
"""
