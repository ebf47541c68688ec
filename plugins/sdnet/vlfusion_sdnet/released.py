"""Names of the tensors in the files that SDNet's authors released."""

#: Released name of each layer; its tensors are `w<name>` and `b<name>` in a scope `layer<name>`.
LAYERS = {f'{ours}_{source}.{index}': f'{number}_{released}'
          for source, released in (('first', 'ir'), ('second', 'vi'))
          for ours, index, number in (('squeeze', 0, 1), ('squeeze', 1, 2), ('squeeze', 2, 3), ('squeeze', 3, 4),
                                      ('decompose', 0, 7), ('decompose', 2, 8), ('decompose', 4, 9))}
LAYERS |= {'fuse': '5_fuse', 'expand': '6_sept'}


def released_name(name: str) -> str:
    """Released name of a parameter of SDNet or of its decomposition.

    >>> released_name('squeeze_first.0.weight')
    'fusion_model/layer1_ir/w1_ir'
    """
    layer, _, parameter = name.rpartition('.')
    return f'fusion_model/layer{LAYERS[layer]}/{parameter[0]}{LAYERS[layer]}'
