"""Reading image files: what a file is, what its header says, which pixels are meant, which values are black and white.

`vlfusion.imaging.reading.image.read_image` is the one way from a file to an array; `vlfusion.imaging.images` offers it
to everybody.
"""
