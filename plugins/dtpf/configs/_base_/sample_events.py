"""The simulated infrared-visible sample under one text about every pair, and the terms of the infrared-visible configs.

The sentence encoder is part of a package and needs no model hub.
"""

language = dict(
    store='data/text',
    encoder=dict(type='vlfusion_dtpf.EventTextEncoder', encoder=dict(
        type='SentenceTransformersEncoder', model='all-MiniLM-L6-v2', output='pooled')))

terms = [dict(type='MaxIntensityLoss', weight=24.0), dict(type='vlfusion_dtpf.ConsistencyLoss', weight=40.0),
         dict(type='AxisGradientLoss', weight=48.0), dict(type='SSIMLoss', weight=2.0, window=48)]
event_text = dict(fixed='Event Type: Low Light\nDescription: The visible image is dark in most places.')
