"""Run by `test_conformance.py` in a process of its own: without the type checks of the tests, which torch cannot trace.

Reads names of backbones, one a line, and answers each with what came of every check of the kit, a line of JSON.
"""

import json
import sys
from dataclasses import asdict

import torch

from vlfusion import plugins
from vlfusion.models.fusion_model import wanted
from vlfusion.registry import BACKBONES, snapshot
from vlfusion.testing.backbones import CHECKS, EXTRAS, Trial, outcome

#: Arguments that make a backbone small, or that it cannot do without.
ARGUMENTS = {
    'FILM': dict(text_dim=8, guidance_grid=(16, 32)),
    'TimmFusion': dict(encoder='resnet10t', pretrained=False, options=dict(zero_init_last=False)),
    'vlfusion_cddfuse.CDDFuse': dict(dim=16, blocks=1),
    'vlfusion_controlfusion.ControlFusion': dict(text_dim=8, dim=8, blocks=(1, 1, 1, 1), refinement=1, adapter_width=4),
    'vlfusion_dtpf.DTPF': dict(text_dim=8, dim=8, blocks=(1, 1, 1, 1), refinement=1, expansion=2),
    'vlfusion_mufusion.MUFusion': dict(tile=32, overlap=8),
    'vlfusion_textdifuse.TextDiFuse': dict(steps=1, side=8, dim=16, widths=(1, 2), blocks=1, attention=(1,), groups=4),
    'vlfusion_textif.TextIF': dict(text_dim=8, dim=4, blocks=(1, 1, 1, 1), refinement=1, heads=(1, 1, 2, 4)),
}

#: Losses of what a network reads in an instruction, not of its image: tests/losses/test_asked.py tests them.
READING = {'ReadingLoss', 'RegionLoss'}


def instructions_for(loss, device='cpu'):
    """Give a loss of instructions, for two images of 64x72, "brighter" and "source A alone"; nothing to another one."""
    asks = [[0., 0, 0, 0, 1.5, 1, 1, 1], [1, 0, 1, 0, 1, 1, 1, 1]]
    given = dict(ask=torch.tensor(asks, device=device), region=torch.ones(2, 1, 64, 72, device=device), instructions=2)
    return {key: given[key] for key in wanted(loss).keys() & given.keys()}


if __name__ == '__main__':
    torch.set_num_threads(1)
    plugins.load_all(snapshot)
    for name in map(str.strip, sys.stdin):
        torch.manual_seed(0)
        trial = Trial(BACKBONES.build(dict(type=name, **ARGUMENTS.get(name, {}))).eval(), tolerance=1e-4)
        found = [asdict(outcome(check, function, trial)) for check, function in {**CHECKS, **EXTRAS}.items()]
        print(json.dumps(found), flush=True)
