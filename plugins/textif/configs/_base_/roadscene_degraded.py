"""RoadScene (Xu et al.): training pairs are degraded at random and get an instruction; test pairs are unchanged.

A config with this base adds the encoder of `language` and the training pipeline.
"""

_base_ = ['vlfusion::_base_/datasets/roadscene_train.py']

# Sentences about each degradation; testing uses the first.
instructions = dict(
    none=['Fuse the infrared and the visible image.',
          'Combine both images into one and leave their quality as it is.',
          'Neither image needs repair; merge them.'],
    low_light_visible=['Fuse the images; the visible one was taken in low light and is too dark.',
                       'Brighten the dark visible image while fusing.',
                       'It was night: the visible image is underexposed, please correct that.'],
    over_exposed_visible=['Fuse the images; the visible one is overexposed.',
                          'The visible image is washed out by too much light, restore it while fusing.',
                          'Tone down the glaring visible image and merge it with the infrared one.'],
    low_contrast_infrared=['Fuse the images; the infrared one has low contrast.',
                           'The thermal image is flat, raise its contrast while fusing.',
                           'Make the faint infrared image stand out and merge it with the visible one.'],
    noisy_infrared=['Fuse the images; the infrared one is noisy.',
                    'Remove the noise of the infrared image while fusing.',
                    'The thermal image is full of grain, please denoise it and merge both.'])
language = dict(store='data/text', fixed=[sentence for said in instructions.values() for sentence in said])
text_source = dict(fixed=instructions['none'][0])
