"""Reading image files: formats, headers, the choice of pages and bands, and ranges from black to white.

Every image file is read by `vlfusion.imaging.reading.image.read_image`, which `vlfusion.imaging.images` exports.
"""
