"""Toy models, and configs and results of comparisons, for the tests of `vlfusion.benchmark`."""

import csv

import torch

from vlfusion.models.fusion_model import FusionModel

NAMES = [f's/p{index}' for index in range(6)]

#: Models with and without weights, with text, of chance, beyond [0, 1], and one that fails on a pair.
TOYS = '''
    import time
    import torch
    from torch import nn
    from vlfusion.language.interfaces import TextFeatures
    from vlfusion.registry import BACKBONES, TEXT_ENCODERS

    FUSED = []  # the names of models, as often as they fused

    class Toy(nn.Module):
        def forward(self, source_a, source_b, text=None, text_mask=None):
            FUSED.append(type(self).__name__)
            return self.fuse(source_a, source_b, text)

    @BACKBONES.register_module()
    class ToyMean(Toy):
        def __init__(self, delay=0.0, most=10 ** 9):
            super().__init__()
            self.delay, self.most = delay, most
        def fuse(self, a, b, text):
            time.sleep(self.delay)
            if a[0, 0].numel() > self.most:
                raise torch.OutOfMemoryError('out of memory')
            return (a + b) / 2

    @BACKBONES.register_module()
    class ToyConv(Toy):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        def fuse(self, a, b, text):
            return self.conv(torch.maximum(a, b)).sigmoid()

    @BACKBONES.register_module()
    class ToyBeyond(Toy):
        def fuse(self, a, b, text):
            return a + b - 0.2

    @BACKBONES.register_module()
    class ToyDim(Toy):
        def fuse(self, a, b, text):
            return (a > 0.5).float() / 10

    @BACKBONES.register_module()
    class ToyChance(Toy):
        def fuse(self, a, b, text):
            return ((a + b) / 2 + 0.1 * torch.randn_like(a)).clamp(0, 1)

    @BACKBONES.register_module()
    class ToyLocal(Toy):
        halo = 1
        def __init__(self, most=10 ** 9):
            super().__init__()
            self.most = most
        def fuse(self, a, b, text):
            if a[0, 0].numel() > self.most:
                raise torch.OutOfMemoryError('out of memory')
            return nn.functional.avg_pool2d(a, 3, 1, 1, count_include_pad=False) / 2 + b / 2

    @BACKBONES.register_module()
    class ToyBroken(Toy):
        def fuse(self, a, b, text):
            raise RuntimeError('no such kernel')

    ENCODED = []

    @TEXT_ENCODERS.register_module()
    class ToyEncoder:
        version, dim = '1', 8
        @staticmethod
        def self_contained(part):
            return not part.get('online')
        def __init__(self, online=False):
            pass
        def encode(self, texts):
            ENCODED.extend(texts)
            lengths = torch.tensor([float(len(text) + sum(map(ord, text))) for text in texts])
            return TextFeatures((lengths / 1e4).sin()[:, None, None].expand(-1, 1, 8), torch.ones(len(texts), 1).bool())

    @BACKBONES.register_module()
    class ToyText(Toy):
        text_dim = 8
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(0.05))
        def fuse(self, a, b, text):
            return ((a + b) / 2 + self.scale * text.mean()).clamp(0, 1)

    @BACKBONES.register_module()
    class ToyVivid(nn.Module):
        text_dim = dict(instruction=8)
        def forward(self, source_a, source_b, instruction=None, instruction_mask=None):
            return (source_a + source_b) / 2
        def colour_strength(self, instruction, instruction_mask=None):
            return instruction.new_full((len(instruction),), 2.)

    @BACKBONES.register_module()
    class ToyTold(nn.Module):
        text_dim, text_optional = dict(text=8, instruction=8), ('instruction',)
        def forward(self, source_a, source_b, text, text_mask=None, instruction=None, instruction_mask=None):
            power = 1. if instruction is None else instruction.mean((1, 2), keepdim=True)[..., None].exp()
            return ((source_a + source_b) / 2) ** power
'''


def toy(name, **arguments):
    return dict(model=dict(type='FusionModel', backbone=dict(type=name, **arguments)))


TWO = {'Mean': toy('ToyMean'), 'Conv': dict(checkpoint='conv.pth')}


def write_config(path, methods, dataset=None, **keys):
    dataset = dict(type='PairDataset', task='ivf', data_root='data', source_a='ir/s', source_b='vi/s') | (dataset or {})
    lines = ["custom_imports = dict(imports=['toy_methods'])", f'datasets = dict(Toy={dataset!r})',
             f'methods = {methods!r}', *(f'{key} = {value!r}' for key, value in keys.items())]
    path.write_text('\n'.join(lines))


def checkpoint(toys, backbone, path, **experiment):
    torch.manual_seed(0)
    model = dict(type='FusionModel', backbone=dict(type=backbone))
    state = FusionModel(model['backbone']).state_dict()
    torch.save(dict(state_dict=state, meta=dict(vlfusion=dict(task='ivf', model=model, **experiment))), path)


def scores(out, **wanted):
    with open(out / 'scores.csv', newline='') as file:
        return [row for row in csv.DictReader(file) if all(row[key] == value for key, value in wanted.items())]


def counted(capsys):
    """`Fused 2 pairs (4 known), scored 6 pictures (0 known), ...` as four numbers."""
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith('Fused '))
    return [int(word.strip('(')) for word in line.split(', in ')[0].split() if word.strip('(').isdigit()]
