"""A plugin for tests of models by name: a network of ten weights, and facts about models with and without weights."""

from itertools import count

import torch

from vlfusion.engine.states import write_state
from vlfusion.models.fusion_model import FusionModel
from vlfusion.registry import BACKBONES

NUMBERS = count()
#: A network with the conversion of released weights, and one without weights.
NETWORKS = '''
import torch
from torch import nn
from vlfusion.registry import BACKBONES

@BACKBONES.register_module()
class Conv(nn.Module):
    def __init__(self, gain=1.0):
        super().__init__()
        self.gain, self.conv = gain, nn.Conv2d(1, 1, 3, padding=1)
    def forward(self, source_a, source_b, text=None, text_mask=None):
        return (self.gain * self.conv(torch.maximum(source_a, source_b))).sigmoid()
    @staticmethod
    def convert_released(state):
        return {f'conv.{name}': tensor for name, tensor in state['net'].items()}

@BACKBONES.register_module()
class Mean(nn.Module):
    def forward(self, source_a, source_b, text=None, text_mask=None):
        return (source_a + source_b) / 2
'''
FACTS = '''
[methods.Conv]
backbone = "{package}.Conv"
parameters = 10
[methods.Mean]
backbone = "{package}.Mean"
[models.{prefix}mean]
method = "Mean"
task = ["ivf", "mff"]
[models.{prefix}packed]
method = "Conv"
task = "ivf"
licence = "Apache-2.0"
source = {{file = "packed.safetensors"}}
'''
#: Facts about released weights, pinned to a file of a `PublicHost`.
RELEASED = '''
[models.{prefix}released]
method = "Conv"
task = "ivf"
protocol = "film"
licence = "MIT"
[models.{prefix}released.source]
repo = "{file.repo}"
commit = "{file.commit}"
[[models.{prefix}released.source.files]]
path = "{file.path}"
size = {size}
blob = "{file.blob}"
'''


def install_models(install, prefix='', file=None, size=0, more=''):
    """Install a plugin with the models `mean` and `packed`, and `released` if a public file is given.

    Facts about a package are read once, so each package has a name of its own.
    """
    package = f'named_{next(NUMBERS)}'
    facts = FACTS.format(package=package, prefix=prefix) + more.replace('PACKAGE', package)
    if file:
        facts += RELEASED.format(prefix=prefix, file=file, size=size)
    folder = install(package, **{'__init__.py': NETWORKS, 'models.toml': facts})
    write_checkpoint(folder / 'packed.safetensors', f'{package}.Conv')
    return folder


def write_checkpoint(path, backbone, dtype=torch.float16, arguments=None, **experiment):
    """Write a checkpoint of drawn weights, and its experiment in it."""
    torch.manual_seed(3)
    model = dict(type='FusionModel', backbone=dict(type=backbone, **(arguments or {})))
    state = {name: tensor.to(dtype) for name, tensor in FusionModel(model['backbone']).state_dict().items()}
    assert BACKBONES.get(backbone)
    write_state(path, state, dict(vlfusion=dict(task='ivf', model=model, protocol='plain', **experiment)))
