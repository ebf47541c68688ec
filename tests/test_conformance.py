"""Every backbone and every loss of every installed plugin, and of vlfusion itself, through the conformance kit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from surveying import READING, instructions_for

from vlfusion import plugins
from vlfusion.registry import BACKBONES, LOSSES, snapshot
from vlfusion.testing import check_loss
from vlfusion.testing.backbones import EXTRAS
from vlfusion.testing.plugins import entries, find_plugin, survey_entry
from vlfusion.zoo.facts import data_file

pytest.importorskip('timm', reason="pip install 'vlfusion[vision]'")
plugins.load_all(snapshot)

#: What is no duty and a method cannot do, by backbone.
CANNOT = {
    'vlfusion_classical.DTCWT': {'compile', 'export'},  # PyWavelets' transforms are no torch
    'vlfusion_classical.DiscreteWavelet': {'compile', 'export'},
    'vlfusion_classical.LaplacianPyramid': {'autocast'},  # which coefficient is larger is soon decided otherwise
    'vlfusion_textdifuse.TextDiFuse': {'compile', 'export'},  # it optimises where a mask is not empty
}
#: Losses that need another network: weights, which nobody fetches for a test, or a segmenter of the user.
ELSEWHERE = {'vlfusion_clipmamba.CLIPAlignmentLoss', 'vlfusion_gifnet.InformationLoss',
             'vlfusion_hpfusion.PerceptionLoss', 'vlfusion_ldfusion.CLIPDirectionalLoss',
             'vlfusion_ldfusion.ContrastiveDirectionalLoss', 'vlfusion_ldfusion.MaxFeatureLoss',
             'vlfusion_mufusion.ContentLoss', 'vlfusion_risfusion.ReferredRegionLoss',
             'vlfusion_textfusion.AssociationLoss', 'vlfusion_u2fusion.InformationPreservationLoss'}


@pytest.fixture(scope='module')
def survey(tmp_path_factory):
    """A function that gives the outcome of every check for one backbone."""
    command = [sys.executable, '-W', 'ignore', Path(__file__).with_name('surveying.py')]
    errors = tmp_path_factory.mktemp('survey') / 'stderr'
    with errors.open('w') as stderr, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                                      stderr=stderr, text=True, bufsize=1) as process:
        def survey(name):
            print(name, file=process.stdin)
            return json.loads(process.stdout.readline() or pytest.fail(errors.read_text()))
        yield survey


@pytest.mark.slow
@pytest.mark.parametrize('name', BACKBONES.names())
def test_a_backbone_does_what_is_its_duty_and_the_extras_that_it_can(name, survey):
    failing = {one['check']: one['detail'] for one in survey(name) if one['holds'] is False}
    assert failing.keys() == CANNOT.get(name, set()), failing
    assert failing.keys() <= EXTRAS.keys()


@pytest.mark.parametrize('name', [name for name in LOSSES.names() if name not in {*ELSEWHERE, *READING}])
def test_a_loss_does_what_training_relies_on(name):
    torch.manual_seed(0)
    arguments = dict(model='resnet10t', pretrained=False) if name == 'PerceptualLoss' else {}
    loss = LOSSES.build(dict(type=name, **arguments))
    check_loss(loss, size=(64, 72), extra=instructions_for(loss))


@pytest.mark.parametrize('plugin', [plugin.entry.name for plugin in plugins.found()])
def test_what_a_plugin_registers_is_documented_and_names_its_weights_rightly(plugin):
    package = find_plugin(plugin).package
    found = list(entries(package))
    assert found or data_file(package, 'models.toml'), f'{plugin} registers nothing and names no models.'
    for registry, name in found:
        for one in survey_entry(registry, name, arguments={'no such argument': 1}):  # so nothing is built
            assert one.holds is not False or one.check == 'builds', f'{name}: {one}'
