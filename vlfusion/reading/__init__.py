"""Reading image files: what a file is, what its header says, which pixels are meant, which values are black and white.

`vlfusion.reading.image.read_image` is the one way from a file to an array; `vlfusion.images` offers it to everybody.
"""
