"""Registration of two images of one scene: measure the misalignment, and undo it.

`motion` holds the kinds of movement, `edges` and `mutual` measure it in two independent ways, and `alignment` compares
the two and says what can be trusted.
"""
