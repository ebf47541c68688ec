"""Image pairs: pairing, data sets, transforms, text features. Names are imported when first used."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'dataset': ['PairDataset'],
    'hdf5': ['Hdf5PairDataset'],
    'packed': ['PackedPairDataset'],
    'pairs': ['Pair', 'find_pairs'],
    'volume_pairs': ['VolumePairDataset'],
})
