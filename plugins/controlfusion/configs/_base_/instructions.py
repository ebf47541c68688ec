"""Sentences about each degradation: two for each kind and level, and two for each mixture.

A config with this base adds the encoder of `language` and the training pipeline. Testing uses a sentence that names no
degradation.
"""

instructions = {
    f'{kind}_{level}': [f'Fuse the images. The {source} one has {fault}; the level is {level}.',
                        f'Remove the {level} {fault} of the {source} image while fusing.']
    for kind, source, fault in (
        ('low_contrast_infrared', 'infrared', 'low contrast'), ('noisy_infrared', 'infrared', 'noise'),
        ('striped_infrared', 'infrared', 'stripe noise'), ('noisy_visible', 'visible', 'noise'),
        ('blurred_visible', 'visible', 'motion blur'), ('hazy_visible', 'visible', 'haze'),
        ('rainy_visible', 'visible', 'rain'), ('dark_visible', 'visible', 'low light'),
        ('overexposed_visible', 'visible', 'overexposure'))
    for level in ('slight', 'moderate', 'average', 'extreme')}
instructions.update(
    dark_hazy_visible=['Fuse the images. The visible one is dark and hazy.',
                       'Remove low light and haze of the visible image while fusing.'],
    dark_noisy_visible=['Fuse the images. The visible one is dark and noisy.',
                        'Remove low light and noise of the visible image while fusing.'],
    hazy_rainy_visible=['Fuse the images. The visible one was taken in rain and haze.',
                        'Remove rain and haze of the visible image while fusing.'],
    dark_visible_striped_infrared=['Fuse the images. The visible one is dark, and the infrared one has stripe noise.',
                                   'Brighten the visible image and remove the stripes of the infrared one.'],
    overexposed_visible_low_contrast_infrared=[
        'Fuse the images. The visible one is overexposed, and the infrared one has low contrast.',
        'Tone down the visible image and raise the contrast of the infrared one.'],
    hazy_rainy_visible_noisy_infrared=[
        'Fuse the images. The visible one was taken in rain and haze, and the infrared one is noisy.',
        'Remove rain and haze of the visible image and the noise of the infrared one.'])
text_source = dict(fixed='Fuse the infrared and the visible image.')
language = dict(store='data/text',
                fixed=[text_source['fixed'], *(sentence for said in instructions.values() for sentence in said)])
