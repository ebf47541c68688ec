"""Everything that computes, on a device other than the CPU: the same results, and no needless copy or wait.

`make test` runs this on the toy device, where an operation fails if it also gets a tensor of the CPU. `make test-gpu`
runs it on a GPU.
"""

import copy
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from surveying import ARGUMENTS, READING, instructions_for
from torch.nn.functional import avg_pool2d

from vlfusion import plugins
from vlfusion.engine.runner import build_runner
from vlfusion.evaluation.evaluator import FusionEvaluator
from vlfusion.inference.fuser import Fuser
from vlfusion.inference.network import Network
from vlfusion.metrics import metric
from vlfusion.metrics.base import metric_names
from vlfusion.models import FusionModel
from vlfusion.models.fusion_model import wanted
from vlfusion.models.layers import strips
from vlfusion.registry import BACKBONES, FUSION_METRICS, LOSSES, MODELS, TRUTH_METRICS, snapshot
from vlfusion.testing.backbones import Trial
from vlfusion.testing.toy_device import NAME
from vlfusion.testing.traffic import Traffic

pytest.importorskip('timm', reason="pip install 'vlfusion[vision]'")
plugins.load_all(snapshot)
pytestmark = pytest.mark.device

METRICS = [(f'{name}{variant}', truth) for truth, registry in ((False, FUSION_METRICS), (True, TRUTH_METRICS))
           for name in metric_names(truth, None) if name != 'LPIPS'  # needs weights
           for variant in ('', *(f':{variant}' for variant in registry.get(name).variants))]
#: Losses that need CLIP, a captioner, a segmenter or a map, which their plugins test.
WITH_ANOTHER = {'vlfusion_clipmamba.CLIPAlignmentLoss', 'vlfusion_hpfusion.PerceptionLoss',
                'vlfusion_ldfusion.CLIPDirectionalLoss', 'vlfusion_ldfusion.ContrastiveDirectionalLoss',
                'vlfusion_risfusion.ReferredRegionLoss', 'vlfusion_textfusion.AssociationLoss'}
#: Arguments by which losses need no weights of another network.
WEIGHTLESS = {
    'PerceptualLoss': dict(model='resnet10t', pretrained=False),
    **{name: dict(pretrained=False) for name in (
        'vlfusion_gifnet.InformationLoss', 'vlfusion_ldfusion.MaxFeatureLoss', 'vlfusion_mufusion.ContentLoss',
        'vlfusion_u2fusion.InformationPreservationLoss')},
}
LOSS_NAMES = [pytest.param(name, marks=[pytest.mark.slow] if name in WEIGHTLESS else [])
              for name in LOSSES.names() if name not in {*WITH_ANOTHER, *READING}]
TERMS = [dict(type='MaxIntensityLoss'), dict(type='MaxGradientLoss', weight=20.0), dict(type='SSIMLoss')]
#: These compute in numpy, so each forward pass waits for both sources and copies the result.
IN_NUMPY = ('vlfusion_classical.DTCWT', 'vlfusion_classical.DiscreteWavelet')
#: Its noise is drawn on the CPU, so that all devices give one result; numbers of its schedule come from there too.
FROM_THE_CPU = ('vlfusion_textdifuse.TextDiFuse',)


#: Models of plugins; that of a student needs a teacher's checkpoint, which its plugin tests.
TRAINED = [name for name in MODELS.names() if '.' in name and name != 'vlfusion_dtpf.DTPFStudentModel']
WITH_LOSSES = tuple(f'vlfusion_{name}Model' for name in (
    'cddfuse.CDDFuse', 'controlfusion.ControlFusion', 'dtpf.DTPFTeacher', 'gifnet.GIFNet', 'lutfuse.LUTFuse',
    'mufusion.MUFusion', 'textdifuse.TextDiFuse', 'textif.TextIF'))
#: Arguments that a method's model cannot do without.
PHASES = {'vlfusion_textdifuse.TextDiFuseModel': dict(phase='fusion')}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def textures(count, *size):
    """Smooth random images in whole grey levels, `(1, 1, height, width)`."""
    return [avg_pool2d(255 * torch.rand(1, 1, size[0] + 4, size[1] + 4), 5, 1).round() for _ in range(count)]


def film(**options):
    return FusionModel(dict(type='FILM', **ARGUMENTS['FILM']), TERMS, **options)


def film_batch(device):
    return {name: value.to(device) for name, value in Trial(film().backbone).inputs().items()} | dict(name=['p', 'q'])


@pytest.mark.parametrize(('name', 'truth'), METRICS)
def test_a_metric_equals_that_of_the_cpu(name, truth, device):
    function = metric(name, truth=truth)
    size = (180, 184) if function.info.smallest > 40 else (40, 44)
    images = textures(len(function.info.inputs), *size)
    moved = [image.to(device) for image in images]
    torch.testing.assert_close(function(*moved).cpu(), function(*images))
    with Traffic() as traffic:  # constants of this size are there now
        function(*moved)
    assert traffic.copies == []
    assert {place.partition(':')[0] for place in traffic.waits} <= {'base.py'}  # where the images' ranges are checked


@pytest.mark.parametrize('name', LOSS_NAMES)
def test_a_loss_and_its_gradient_equal_those_of_the_cpu(name, device):
    loss = LOSSES.build(dict(type=name, **WEIGHTLESS.get(name, {})))
    moved = copy.deepcopy(loss).to(device)
    images = [torch.rand(2, 1, 64, 72) for _ in range(4)]
    moved_images = [image.to(device) for image in images]
    gradients = []
    for module, (fused, *sources, truth) in ((loss, images), (moved, moved_images)):
        inputs = dict(source_a=sources[0], source_b=sources[1], **({'truth': truth} if 'truth' in wanted(loss) else {}),
                      **instructions_for(loss, fused.device))
        module(fused.requires_grad_(), **inputs).backward()
        gradients.append(fused.grad.cpu())
    torch.testing.assert_close(*gradients)
    with Traffic() as traffic:  # a pretrained network is there now
        moved(moved_images[0], **inputs).backward()
    assert traffic.copies == traffic.waits == []


@pytest.mark.parametrize('name', [pytest.param(name, marks=[pytest.mark.slow] if name in ARGUMENTS else [])
                                  for name in BACKBONES.names()])
def test_a_backbone_and_its_gradients_equal_those_of_the_cpu(name, device, monkeypatch):
    monkeypatch.setattr(strips, 'PIXELS_ELSEWHERE', 300)  # so that there are several
    backbone = BACKBONES.build(dict(type=name, **ARGUMENTS.get(name, {}))).eval()
    inputs = Trial(backbone).inputs()
    moved, moved_inputs = copy.deepcopy(backbone).to(device), {key: value.to(device) for key, value in inputs.items()}
    with torch.no_grad(), Traffic() as traffic:
        fused = moved(**moved_inputs)
    with torch.no_grad():
        torch.testing.assert_close(fused.cpu(), backbone(**inputs), atol=1e-5, rtol=1e-5)
    assert len(traffic.copies) == (name in IN_NUMPY) or name in FROM_THE_CPU, traffic.copies
    if not any(parameter.requires_grad for parameter in backbone.parameters()):
        return
    for network, given in ((backbone, inputs), (moved, moved_inputs)):
        torch.manual_seed(0)  # for dropout
        network.train()(**given).square().mean().backward()
    for (key, parameter), there in zip(backbone.named_parameters(), moved.parameters(), strict=True):
        assert (parameter.grad is None) == (there.grad is None), key
        if parameter.grad is not None:
            torch.testing.assert_close(there.grad.cpu(), parameter.grad, atol=1e-4, rtol=1e-3)


def test_film_waits_for_nothing_without_a_mask(device):
    model, batch = film().to(device), film_batch(device)
    with torch.no_grad(), Traffic() as traffic:
        model.backbone(batch['source_a'], batch['source_b'], batch['text'])
    assert traffic.copies == traffic.waits == []


@pytest.mark.slow
def test_a_training_step_copies_the_batch_and_no_more(device):
    model, batch = film(), {key: value if key == 'name' else value.cpu() for key, value in film_batch('cpu').items()}
    on_cpu = copy.deepcopy(model)(**batch, mode='loss')
    model.to(device)
    with Traffic() as traffic:
        terms = model(**model.data_preprocessor(batch, training=True), mode='loss')
        terms['loss'].backward()
    tensors = sum(isinstance(value, torch.Tensor) for value in batch.values())
    assert len(traffic.copies) == tensors, traffic.copies
    assert len(traffic.waits) <= 1, traffic.waits  # whether a text is without tokens
    for key, value in on_cpu.items():
        torch.testing.assert_close(terms[key].cpu(), value, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_a_model_fuses_and_predicts(device):
    model, moved = film(margin=3).eval(), film(margin=3).to(device).eval()
    moved.load_state_dict(model.state_dict())
    with torch.no_grad():
        expected = model(**film_batch('cpu'))
        fused, predicted = (moved(**film_batch(device), mode=mode) for mode in ('tensor', 'predict'))
    torch.testing.assert_close(fused.cpu(), expected, atol=1e-5, rtol=1e-5)
    assert [sample['name'] for sample in predicted] == ['p', 'q']
    assert torch.equal(torch.stack([sample['fused'] for sample in predicted]).cpu(), fused.cpu())


@pytest.mark.slow
@pytest.mark.parametrize('name', TRAINED)
def test_a_method_with_its_own_training_takes_a_step(name, device):
    method = name.removesuffix('Model').removesuffix('Teacher')
    options = (dict(losses=TERMS[:1]) if name in WITH_LOSSES else {}) | PHASES.get(name, {})
    model = MODELS.build(dict(type=name, backbone=dict(type=method, **ARGUMENTS.get(method, {})), **options)).train()
    if hasattr(model, 'phase'):
        model.phase = 1  # its hook does this
    keys = ('source_a', 'source_b', 'target_a', 'target_b', 'near', 'far')
    batch = {key: torch.rand(2, 1, 64, 64) for key in keys} | dict(name=['p', 'q'], degradation=['rain', 'haze'],
                                                                 words=['Event Type: Rain', ''])
    batch |= {key: value for key, value in Trial(model.backbone).inputs().items() if key.startswith('text')}
    moved = copy.deepcopy(model).to(device)
    logs, state = [], torch.get_rng_state()
    for trained in (model, moved):
        torch.set_rng_state(state)
        logs.append(trained.train_step(batch, OptimWrapper(torch.optim.SGD(trained.parameters(), 1e-3))))
    assert logs[1].keys() == logs[0].keys()
    for key, value in logs[0].items():
        torch.testing.assert_close(torch.as_tensor(logs[1][key]).cpu(), torch.as_tensor(value), atol=1e-4, rtol=1e-4)


def test_the_evaluator_scores_what_the_model_returns(device):
    fused, *sources = (image[0] / 255 for image in textures(3, 48, 52))
    names, scores, traffic = ['EN', 'MI', 'VIF', 'Qabf', 'FMI_dct'], [], Traffic()
    for place in ('cpu', device):
        evaluator = FusionEvaluator(names)
        batch = dict(source_a=sources[0][None], source_b=sources[1][None], name=['p'])  # as the loader gives it
        output = fused.to(place)
        with traffic:
            evaluator.process(batch, [dict(name='p', fused=output)])
        scores.append(evaluator.evaluate(1))
    assert scores[1] == pytest.approx(scores[0], rel=1e-6)
    assert len(traffic.copies) <= 2 + 2, traffic.copies  # the sources, and the cosines of this height and width
    assert len(traffic.waits) <= 4 + len(names), traffic.waits  # for the range of each image, and for each score


@pytest.mark.parametrize('tiles', ['whole', 'blend'])
def test_a_network_fuses_whole_and_in_tiles(tiles, device):
    model = FusionModel(dict(type='vlfusion_ifcnn.IFCNN')).eval()
    inputs = {name: torch.rand(1, 1, 100, 130) for name in ('source_a', 'source_b')}
    options = dict(tiles=tiles, tile_size=96 if tiles == 'blend' else None)
    expected = Network(copy.deepcopy(model), device='cpu', **options).fuse(inputs)
    network = Network(model, device=device, **options)
    torch.testing.assert_close(network.fuse(inputs).cpu(), expected, atol=1e-5, rtol=1e-5)
    if tiles == 'whole':
        pairs = network.fuse_first([inputs, inputs])
        torch.testing.assert_close(pairs.cpu(), expected.repeat(2, 1, 1, 1), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(('precision', 'tolerance'), [('float32', 1e-5), ('tf32', 1e-2), ('bfloat16', 0.1)])
def test_a_network_fuses_in_each_precision(precision, tolerance, device):
    model = film().eval()
    inputs = {key: value for key, value in film_batch('cpu').items() if key in ('source_a', 'source_b', 'text')}
    expected = Network(copy.deepcopy(model), device='cpu')(inputs)
    network = Network(model, device=device, precision=precision)
    with Traffic() as traffic:
        fused = network(inputs)
    torch.testing.assert_close(fused.cpu(), expected, atol=tolerance, rtol=0)
    assert (len(traffic.copies), traffic.waits) == (3, [])


@pytest.mark.slow
@pytest.mark.parametrize('backbone', ['vlfusion_ifcnn.IFCNN', 'FILM'])
def test_an_experiment_trains_resumes_is_tested_and_fuses(backbone, toy, device, monkeypatch):
    if device == NAME:
        if backbone == 'FILM':
            pytest.skip('takes a minute on the toy device')
        # MMEngine looks for a device once, when it is imported, and torch loads no files to this one.
        monkeypatch.setattr('mmengine.runner.runner.get_device', lambda: device)
    options = {} if backbone == 'FILM' else {'model.backbone': dict(type=backbone, _delete_=True)}
    steps = {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2, 'train_cfg.type': 'ResumableTrainLoop'}
    runner = build_runner(toy(**options, **steps), 'train')
    runner.train()
    assert next(runner.model.parameters()).device.type == torch.device(device).type
    checkpoint = toy.work / 'iter_2.pth'
    if device != NAME:
        resumed = build_runner(toy(**options, **steps | {'train_cfg.max_iters': 3, 'resume': True}), 'train')
        resumed.train()
        assert resumed.iter == 3
        scores = build_runner(toy(**options, load_from=str(checkpoint)), 'test').test()
        assert all(math.isfinite(value) for value in scores.values())

    image_a, image_b = (next((toy.data / folder).iterdir()) for folder in ('ir', 'vi'))
    words = dict(text=np.load(toy.data / 'text/p0.npy')[0]) if backbone == 'FILM' else {}
    fused = [Fuser(checkpoint, device=place)(image_a, image_b, **words).grey for place in ('cpu', device)]
    assert abs(fused[0].astype(int) - fused[1]).max() <= 1


@pytest.mark.slow
def test_the_benchmark_measures_every_part(tmp_path):
    script, out = Path(__file__).parents[1] / 'performance/gpu.py', tmp_path / 'gpu.json'
    subprocess.run([sys.executable, script, '--device', 'cpu', '--quick', '--without-compiling', '--out', out],
                   check=True, capture_output=True)
    results = json.loads(out.read_text())['results']
    parts = {result['part'] for result in results}
    assert parts == {'forward', 'train', 'attention', 'products', 'depthwise', 'metrics'}
    assert all(min(result['seconds']) > 0 for result in results)


@pytest.mark.slow
def test_a_missing_device_stops_tests_and_benchmark_with_the_reason(monkeypatch):
    monkeypatch.setenv('VLFUSION_TEST_DEVICE', 'cuda:63')
    root = Path(__file__).parents[1]
    for command in (['-m', 'pytest', '-q', '-m', 'device', 'tests/testing'],
                    ['performance/gpu.py', '--device', 'cuda:63']):
        done = subprocess.run([sys.executable, *command], cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stdout
        assert "The device 'cuda:63' cannot be used" in done.stdout + done.stderr
