"""A folder is scored file by file: pairing, colour, controls, what is undefined, and what stops it."""

import hashlib
import json
import math
import threading
import weakref
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import torch

import vlfusion
from vlfusion.errors import ConfigError, DataError, UnknownNameError
from vlfusion.evaluation import FusionEvaluator, folder, score_folder
from vlfusion.evaluation.controls import CONTROLS, control_images
from vlfusion.evaluation.rows import read_csv
from vlfusion.imaging.images import luminance, read_image
from vlfusion.imaging.protocol import get_protocol, grey_levels
from vlfusion.metrics import CC, EN, SD, SF, scoring
from vlfusion.metrics.undefined import NO_CAUSE
from vlfusion.registry import FUSION_METRICS
from vlfusion.system.ray_cluster import Cluster
from vlfusion.testing.toys import draw_pairs

QUICK = ('EN', 'SD', 'SF')


def draw(path, names, size=(48, 56)):
    """Pairs, the mean of each as its fused image, and the maximum as its truth, all in luminance."""
    draw_pairs(path, names, size=size)
    for name in names:
        a, b = (np.round(255 * luminance(read_image(path / source / f'{name}.png'))) for source in ('ir', 'vi'))
        for result, image in (('fused', (a + b) // 2), ('truth', np.maximum(a, b))):
            (path / result).mkdir(exist_ok=True)
            cv2.imwrite(str(path / result / f'{name}.png'), image.astype(np.uint8))


@pytest.fixture
def place(tmp_path):
    """A folder with four pairs and their fused images."""
    draw(tmp_path, ['p0', 'p1', 'p2', 'p3'])
    return tmp_path


def scored(place, **options):
    options = {'metrics': QUICK, **options}
    return score_folder(place / 'fused', place / 'ir', place / 'vi', **options)


def column(scores, name):
    return [row[name] for row in scores.rows]


@pytest.mark.slow
def test_scores_are_those_of_the_evaluator(place):
    """One image at a time: the last bit of a sum depends on how many images are in a batch."""
    metrics = ['EN', 'SD', 'VIF', 'Qabf', 'MI']
    evaluator = FusionEvaluator(metrics, 'plain', csv=place / 'evaluator.csv')
    for name in ('p0', 'p1', 'p2', 'p3'):
        images = {key: torch.from_numpy(luminance(read_image(place / key / f'{name}.png')))[None]
                  for key in ('fused', 'ir', 'vi')}
        evaluator.process({'source_a': images['ir'][None], 'source_b': images['vi'][None], 'name': [name]},
                          [{'name': name, 'fused': images['fused']}])
    evaluator.evaluate(4)
    scores = scored(place, metrics=metrics, protocol='plain')
    assert scores.rows == read_csv(place / 'evaluator.csv')
    assert list(scores.rows[0]) == ['name', 'protocol', *metrics] and scores.rows[0]['protocol'] == 'plain.1'


def test_a_notebook_shows_means_in_one_line(place):
    scores = scored(place, metrics=['EN'], protocol='plain')
    mean = scores.record['summary']['EN']['mean']
    assert repr(scores) == f'<FolderScores: 4 images, protocol plain.1; means EN {mean:.4g}>'


def test_files_are_not_stretched_under_any_protocol(place):
    image = read_image(place / 'fused/p0.png')
    assert image.min() > 0 and image.max() < 255
    for name in ('film', 'cddfuse', 'plain'):
        assert column(scored(place, metrics=['SD'], protocol=name), 'SD')[0] == pytest.approx(image.std(), rel=1e-12)


def test_sixteen_bits_are_the_same_levels(place):
    before = scored(place)
    for name in ('p0', 'p1'):
        eight = read_image(place / f'fused/{name}.png')
        (place / f'fused/{name}.png').unlink()
        cv2.imwrite(str(place / f'fused/{name}.tiff'), eight.astype(np.uint16) * 257)
    assert scored(place).rows == before.rows


def test_the_protocol_says_whose_variants_are_meant(place):
    for name, variants in (('film', {'MI:film': 'film'}), ('plain', {'MI:film': 'film', 'MI': ''})):
        scores = scored(place, metrics=['MI:film', 'MI'], protocol=name)
        assert {metric['column']: metric['variant'] for metric in scores.record['metrics']} == variants
        assert list(scores.rows[0]) == ['name', 'protocol', *variants], 'a column says which variant it holds'


def test_colour_is_scored_by_channel_where_the_protocol_says_so(place):
    generator = np.random.default_rng(0)
    fused = generator.integers(0, 256, (48, 56, 3), np.uint8)
    cv2.imwrite(str(place / 'fused/p0.png'), fused)
    infrared, visible = read_image(place / 'ir/p0.png'), read_image(place / 'vi/p0.png')
    assert infrared.ndim == 2 and visible.ndim == 3

    def of(*images):
        return CC(*(torch.from_numpy(image.astype(np.float64))[None, None] for image in images)).item()

    channels = [of(fused[..., i], infrared, visible[..., i]) for i in range(3)]
    by_channel = scored(place, metrics=['CC'], protocol='vifb')
    assert column(by_channel, 'CC')[0] == pytest.approx(np.mean(channels), rel=1e-9)
    assert by_channel.record['images_by_channel'] == 1
    grey = [np.round(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_BGR2GRAY)) for image in (fused, visible)]
    expected = of(grey[0], infrared, grey[1])
    assert column(scored(place, metrics=['CC'], protocol='plain'), 'CC')[0] == pytest.approx(expected, rel=1e-9)
    assert abs(expected - np.mean(channels)) > 1e-3
    rest = (column(scored(place, metrics=['CC'], protocol=name), 'CC')[1:] for name in ('vifb', 'plain'))
    assert next(rest) == next(rest), 'grey fused images are compared to luminance'


@pytest.mark.parametrize('error', [MemoryError(), torch.OutOfMemoryError('CUDA out of memory.')])
def test_an_image_that_is_too_large_to_score_is_named(place, monkeypatch, error):
    def short_of_memory(*_, **__):
        raise error

    monkeypatch.setattr(folder, 'score_planes', short_of_memory)
    with pytest.raises(DataError, match=r'p0.png has 56x48 pixels.*do not fit into memory'):
        scored(place)


def test_patterns_and_endings(place):
    before = scored(place)
    for name in ('p0', 'p1', 'p2', 'p3'):
        cv2.imwrite(str(place / f'fused/{name}_out.bmp'), read_image(place / f'fused/{name}.png'))
    (place / 'set [1]').mkdir()
    for path in (place / 'ir').iterdir():
        path.rename(place / 'set [1]' / path.name)
    scores = score_folder(place / 'fused/{name}_out.*', str(place / 'set [1]'), f'{place}/v?/{{name}}.png',
                          metrics=QUICK)
    assert scores.rows == before.rows


def test_a_suffix_of_all_files_is_left_out_and_said(place):
    before = scored(place)
    for path in list((place / 'fused').iterdir()):
        path.rename(path.with_stem(f'{path.stem}_fused'))
    after = scored(place)
    assert after.rows == before.rows and before.notes == []
    assert after.notes == [f'All names of the fused folder ({place}/fused) end in _fused: pairing without it.']
    (place / 'fused/p3_fused.png').rename(place / 'fused/p3_mask.png')
    with pytest.raises(DataError, match='p3_mask.png .* has no partner'):
        scored(place)


@pytest.mark.slow
def test_what_nobody_named_is_left_out_where_it_cannot_be_computed(tmp_path):
    draw(tmp_path, ['large'], (184, 180))
    draw(tmp_path, ['small'], (40, 44))
    scores = scored(tmp_path, metrics=['all', 'EN'], truth=tmp_path / 'truth', controls=True)
    large, small = scores.rows
    assert large['MS_SSIM'] and large['VIF'] and small['MS_SSIM'] is small['VIF'] is None and small['EN']
    assert {item.metric for item in scores.undefined if item.value is None} >= {'MS_SSIM', 'VIF', 'VIFF'}
    assert 'small: MS_SSIM was not scored: MS_SSIM expects images of at least 176x176' in '\n'.join(
        map(str, scores.undefined))
    assert scores.record['summary']['VIF'] == {'mean': large['VIF'], 'std': 0, 'median': large['VIF'],
                                               'not_finite': 0, 'not_scored': 1}
    scores.write(tmp_path / 'out.csv')
    assert read_csv(tmp_path / 'out.csv') == scores.rows
    json.loads((tmp_path / 'out.json').read_text(), parse_constant=lambda word: pytest.fail(word))
    with pytest.raises(DataError, match='small: VIF expects images of at least 41x41'):
        scored(tmp_path, metrics=['all', 'VIF'])
    (tmp_path / 'fused/large.png').unlink()
    for key in ('ir', 'vi'):
        (tmp_path / key / 'large.png').unlink()
    assert scored(tmp_path, metrics=None).rows[0]['VIF'] is None, 'the default metrics are not named either'


def test_a_metric_that_fails_is_no_reason_to_score_nothing(place, monkeypatch):
    def broken(*_):
        raise RuntimeError('out of paper')
    broken.info = EN.info
    monkeypatch.setattr(folder, 'chosen_metrics', lambda *_, **__: ['EN', 'SD'])
    monkeypatch.setattr(scoring, 'metric_of', lambda column, code='': broken if column == 'EN' else SD)
    scores = scored(place, metrics=['all'])
    assert column(scores, 'EN') == [None] * 4 and scores.undefined[0].reasons == ('RuntimeError: out of paper',)
    monkeypatch.setattr(scoring, 'metric_of', lambda column, code='': broken)
    with pytest.raises(DataError, match='No metric could be computed'):
        scored(place, metrics=['all'])


def test_everything_that_does_not_match_is_listed_before_scoring(place, monkeypatch):
    (place / 'fused/p0.png').rename(place / 'fused/P0.png')
    (place / 'vi/p1.png').unlink()
    (place / 'truth/p2.png').unlink()
    cv2.imwrite(str(place / 'truth/q.png'), np.zeros((4, 4), np.uint8))
    monkeypatch.setattr(folder, 'read_images', lambda *_: pytest.fail('an image was read'))
    with pytest.raises(DataError) as caught:
        scored(place, truth=place / 'truth', task='ivf')
    lines = {line.strip() for line in caught.value.problem.splitlines()[1:]}
    assert lines == {
        f'{place}/fused/P0.png (the fused folder) has no partner in source A, infrared ({place}/ir) and source B, '
        f'visible ({place}/vi) and the truth ({place}/truth); did you mean {place}/ir/p0.png or {place}/vi/p0.png or '
        f'{place}/truth/p0.png?',
        f'{place}/ir/p0.png (source A, infrared) has no partner in the fused folder ({place}/fused); did you mean '
        f'{place}/fused/P0.png?',
        f'{place}/fused/p1.png (the fused folder) has no partner in source B, visible ({place}/vi)',
        f'{place}/fused/p2.png (the fused folder) has no partner in the truth ({place}/truth)',
        f'{place}/truth/q.png (the truth) has no partner in the fused folder ({place}/fused) and source A, infrared '
        f'({place}/ir) and source B, visible ({place}/vi)'}
    assert 'letter case' in caught.value.remedy


def test_two_folders_of_the_same_files_are_refused(place):
    (place / 'link').symlink_to(place / 'ir')
    with pytest.raises(DataError, match='source A and source B are the same files'):
        score_folder(place / 'fused', place / 'ir', place / 'link')
    with pytest.raises(DataError, match='the fused folder and source B are the same files'):
        score_folder(place / 'vi', place / 'ir', place / 'vi')


def test_every_file_that_cannot_be_scored_is_listed(place):
    draw(place, ['small'], (24, 40))
    whole = (place / 'fused/p1.png').read_bytes()
    (place / 'fused/p1.png').write_bytes(whole[:len(whole) // 2])
    (place / 'ir/p2.png').write_bytes(b'')
    cv2.imwrite(str(place / 'vi/p3.png'), np.zeros((48, 40), np.uint8))
    with pytest.raises(DataError) as caught:
        scored(place, metrics=['EN', 'VIF'])
    assert caught.value.problem.count('\n') == 4
    for offender in (f'Cannot decode {place}/fused/p1.png', f'Cannot decode {place}/ir/p2.png',
                     f'p3: {place}/fused/p3.png is 56x48, {place}/ir/p3.png is 56x48, {place}/vi/p3.png is 40x48',
                     'small: VIF expects images of at least 41x41 pixels, but got 24x40'):
        assert offender in caught.value.problem


def test_after_a_problem_nothing_more_is_scored(place, monkeypatch):
    draw_pairs(place, ['a'])
    cv2.imwrite(str(place / 'fused/a.png'), np.zeros((8, 8), np.uint8))
    monkeypatch.setattr(folder.Scorer, '_score', lambda *_: pytest.fail('an image was scored'))
    with pytest.raises(DataError, match='8x8'):
        scored(place, workers=1)


@pytest.mark.slow
def test_bits_do_not_depend_on_the_number_of_workers(place):
    draw(place, ['large', 'wide'], (260, 270))
    metrics = ['SD', 'CC', 'Qabf', 'Qw', 'SSIM']  # whose bits change with the number of torch's threads
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        runs = [scored(place, metrics=metrics, controls=True, workers=workers) for workers in (1, 2, 5, None)]
        assert torch.get_num_threads() == 2, 'the setting is restored'
    finally:
        torch.set_num_threads(before)
    for run in runs[1:]:
        assert run.rows == runs[0].rows and run.controls == runs[0].controls


def test_each_worker_has_one_thread_of_torch_and_they_work_at_once(place, monkeypatch):
    together = threading.Barrier(2)
    threads = []

    def in_worker(scorer, *args, _original=folder.Scorer._score):
        together.wait(20)  # passes only while two workers are here
        threads.append((threading.get_ident(), torch.get_num_threads()))
        return _original(scorer, *args)

    monkeypatch.setattr(folder.Scorer, '_score', in_worker)
    scored(place, workers=2)
    assert {number for _, number in threads} == {1} and len({thread for thread, _ in threads}) == 2


@pytest.mark.parametrize('workers', [1, 3])
def test_few_images_are_in_memory_at_once(tmp_path, monkeypatch, workers):
    draw(tmp_path, [f'{i:02}' for i in range(24)], (16, 16))
    lock, alive, most, submitted = threading.Lock(), 0, 0, 0

    def gone():
        nonlocal alive
        with lock:
            alive -= 1

    def counted(name, paths, readings, _original=folder.read_images):
        nonlocal alive, most
        images, problems = _original(name, paths, readings)
        for image in images:
            with lock:
                alive += 1
                most = max(most, alive)
            weakref.finalize(image, gone)
        return images, problems

    def ahead(pool, function, items, ahead, _original=folder.in_order):
        def counting():
            nonlocal submitted
            for item in items:
                submitted += 1
                yield item
        return _original(pool, function, counting(), ahead)

    def progress(done, total):
        assert total == 24 and submitted <= done + 2 * workers + 1

    monkeypatch.setattr(folder, 'read_images', counted)
    monkeypatch.setattr(folder, 'in_order', ahead)
    assert len(scored(tmp_path, workers=workers, progress=progress).rows) == 24
    assert 3 <= most <= 3 * workers and alive == 0


def test_an_interruption_begins_no_image_and_ends_none(tmp_path, monkeypatch):
    draw(tmp_path, [f'{i:02}' for i in range(24)], (16, 16))
    read, ended, interrupted = [], [], threading.Event()

    class Pool(folder.ThreadPoolExecutor):
        def shutdown(self, wait=True, **options):
            if wait:
                interrupted.set()
            super().shutdown(wait, **options)
            interrupted.set()

    def in_worker(name, paths, readings, _original=folder.read_images):
        read.append(name)
        assert name == '00' or interrupted.wait(20)
        return _original(name, paths, readings)

    def after_metric(name, scores, images):
        ended.append(name)
        return []

    def progress(done, total):
        if done:
            raise KeyboardInterrupt

    monkeypatch.setattr(folder, 'ThreadPoolExecutor', Pool)
    monkeypatch.setattr(folder, 'read_images', in_worker)
    monkeypatch.setattr(scoring, 'undefined', after_metric)
    with pytest.raises(KeyboardInterrupt):
        scored(tmp_path, workers=2, progress=progress)
    assert len(read) <= 3, 'one is done, two are at work, the fourth waits'
    assert set(ended) == {'00'}
    assert not [thread for thread in threading.enumerate() if 'ThreadPool' in thread.name]


def test_progress_counts_every_image(place):
    steps = []
    scored(place, progress=lambda *step: steps.append(step))
    assert steps == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_truth(place):
    (place / 'truth/p2.png').write_bytes((place / 'fused/p2.png').read_bytes())
    scores = scored(place, truth=place / 'truth', truth_metrics=['PSNR', 'SSIM'])
    assert list(scores.rows[0]) == ['name', 'protocol', *QUICK, 'truth/PSNR', 'truth/SSIM']
    fused, truth = (read_image(place / f'{key}/p0.png').astype(float) for key in ('fused', 'truth'))
    assert scores.rows[0]['truth/PSNR'] == pytest.approx(10 * np.log10(255 ** 2 / np.mean((fused - truth) ** 2)))
    item, = scores.undefined
    assert (item.name, item.metric, item.value) == ('p2', 'truth/PSNR', math.inf)
    assert item.reasons == ('the fused image equals the truth',)
    assert scores.record['summary']['truth/PSNR']['mean'] == math.inf
    assert 'truth' not in scored(place).record['inputs']


def test_what_is_not_finite_is_explained(place):
    infrared = read_image(place / 'ir/p1.png') // 2
    cv2.imwrite(str(place / 'ir/p1.png'), infrared)
    copy = read_image(place / 'ir/p2.png')
    for name, image in (('p0', np.full_like(infrared, 9)), ('p1', infrared + 7), ('p2', copy)):
        cv2.imwrite(str(place / f'fused/{name}.png'), image)
    scores = scored(place, metrics=['EN', 'CC', 'SCD'])
    assert {(item.name, item.metric): item.reasons for item in scores.undefined} == {
        ('p0', 'CC'): ('the fused image is constant',),
        ('p1', 'SCD'): ('the fused image differs from source A by a constant',),
        ('p2', 'SCD'): ('the fused image equals source A',)}
    assert math.isnan(scores.record['summary']['SCD']['mean'])
    assert scores.record['summary']['SCD']['not_finite'] == 2
    assert str(scores.undefined[0]) == 'p0: CC is nan: the fused image is constant'


def test_a_channel_to_blame_is_named(place):
    image = read_image(place / 'vi/p0.png').copy()
    image[..., 1] = 50
    cv2.imwrite(str(place / 'fused/p0.png'), image)
    item, = scored(place, metrics=['CC'], protocol='vifb').undefined
    assert item.reasons == ('the fused image is constant (in green)',)


def test_an_undefined_value_without_a_known_cause_says_so(place, monkeypatch):
    monkeypatch.setattr(scoring, 'metric_of', lambda *args, _original=scoring.metric_of: _nan(_original(*args)))
    assert scored(place, metrics=['EN']).undefined[3].reasons == (NO_CAUSE,)


def _nan(metric):
    def undefined(*images):
        return metric(*images) * math.nan
    undefined.info = metric.info
    return undefined


def test_control_images():
    a = torch.tensor([0., 1., 2., 255.]).view(1, 1, 2, 2)
    b = torch.tensor([1., 2., 2., 0.]).view(1, 1, 2, 2)
    images = control_images('x', a, b)
    assert tuple(images) == CONTROLS
    assert torch.equal(images['copy of A'], a) and torch.equal(images['copy of B'], b)
    assert images['mean'].flatten().tolist() == [0, 1, 2, 127], 'rounded down'
    assert images['maximum'].flatten().tolist() == [1, 2, 2, 255]
    flat = torch.full((1, 1, 200, 200), 100.)
    noise = control_images('x', flat, flat)['noisy mean'] - flat
    assert torch.equal(noise, noise.round()) and abs(noise.mean()) < 0.2 and 9.8 < noise.std() < 10.2
    assert torch.equal(noise, control_images('x', flat, flat)['noisy mean'] - flat)
    assert not torch.equal(noise, control_images('y', flat, flat)['noisy mean'] - flat)
    dark = control_images('x', flat * 0, flat * 0)['noisy mean']
    assert dark.min() == 0 and dark.max() > 20


def test_controls_are_scored_with_the_same_metrics(place):
    scores = scored(place, metrics=['EN', 'SCD'], truth=place / 'truth', controls=True)
    assert [(row['name'], row['control']) for row in scores.controls] == [
        (f'p{i}', control) for i in range(4) for control in CONTROLS]
    by_name = {(row['name'], row['control']): row for row in scores.controls}
    infrared = grey_levels(read_image(place / 'ir/p3.png'), get_protocol('film'))
    assert by_name['p3', 'copy of A']['EN'] == EN(infrared, infrared, infrared).item()
    assert by_name['p3', 'maximum']['truth/PSNR'] == math.inf
    assert math.isnan(by_name['p3', 'copy of B']['SCD'])
    assert not scores.undefined, 'of controls they are only counted'
    assert scores.record['controls']['copy of B']['SCD']['not_finite'] == 4
    assert scored(place).controls == [] and scored(place).record['controls'] == {}


def test_noise_does_not_depend_on_the_other_pairs(place):
    noisy = {row['name']: row for row in scored(place, controls=True).controls if row['control'] == 'noisy mean'}
    for key in ('ir', 'vi', 'fused'):
        (place / key / 'p0.png').unlink()
    again = [row for row in scored(place, controls=True).controls if row['control'] == 'noisy mean']
    assert again == [noisy['p1'], noisy['p2'], noisy['p3']]


@pytest.mark.slow
def test_all_is_every_metric_once(tmp_path):
    draw(tmp_path, ['p0'], (184, 180))
    scores = scored(tmp_path, metrics=['all', 'MI:film', 'EN'])
    columns = list(scores.rows[0])[2:]
    assert 'MI:film' in columns, 'which is asked for beside all'
    names = [name.partition(':')[0] for name in columns]
    assert {'EN', 'VIF', 'NMI', 'Qabf'} <= set(names) and not {'Qmi', 'Qg', 'VIFp'} & set(names)
    functions = [FUSION_METRICS.get(name) for name in names]
    assert len(functions) == len(set(functions))
    every = {FUSION_METRICS.get(name) for name in FUSION_METRICS.names()}
    assert set(functions) == {function for function in every if not function.info.maps}


def test_an_alias_keeps_its_name(place):
    scores = scored(place, metrics=['Qmi', 'NMI', 'Qmi'])
    assert list(scores.rows[0]) == ['name', 'protocol', 'Qmi', 'NMI']
    assert column(scores, 'Qmi') == column(scores, 'NMI')
    assert [metric['name'] for metric in scores.record['metrics']] == ['NMI', 'NMI']


def test_what_is_written(place):
    scores = scored(place, controls=True, task='ivf')
    out = place / 'scores/my.run.csv'
    assert scores.write(out) == [out, place / 'scores/my.run.controls.csv', place / 'scores/my.run.json']
    assert read_csv(out) == scores.rows
    assert out.read_text().splitlines()[0] == 'name,protocol,EN,SD,SF'
    assert (place / 'scores/my.run.controls.csv').read_text().splitlines()[0] == 'name,control,protocol,EN,SD,SF'
    assert {path.name for path in out.parent.iterdir()} == {'my.run.csv', 'my.run.controls.csv', 'my.run.json'}
    record = json.loads((place / 'scores/my.run.json').read_text())
    assert record['schema'] == 1 and record['images'] == 4 and record['task'] == 'ivf'
    assert record['versions']['torch'] == torch.__version__
    assert record['protocol'] == {'label': 'film.1', 'name': 'film', 'version': 1, 'luminance': 'film', 'code': 'film',
                                  'stretch': 'min-max', 'rounding': 'truncate', 'colour': 'luminance'}
    assert record['metrics'][1] == {'column': 'SD', 'name': 'SD', 'variant': '', 'title': SD.info.title,
                                    'direction': 'higher', 'unit': 'grey level', 'over': 'none',
                                    'source': SD.info.source, 'package': f'vlfusion {vlfusion.__version__}'}
    values = column(scores, 'SD')
    assert record['summary']['SD'] == {'mean': pytest.approx(np.mean(values)), 'std': pytest.approx(np.std(values)),
                                       'median': pytest.approx(np.median(values)), 'not_finite': 0}
    assert record['inputs']['source_a']['folder'] == str(place / 'ir')
    files = {f'p{i}': hashlib.sha256((place / f'ir/p{i}.png').read_bytes()).hexdigest() for i in range(4)}
    assert record['inputs']['source_a']['files'] == files
    lines = ''.join(f'{name}\0{digest}\n' for name, digest in files.items())
    assert record['inputs']['source_a']['sha256'] == hashlib.sha256(lines.encode()).hexdigest()


def test_two_runs_differ_in_when_they_were_made_only(place):
    first, second = scored(place, controls=True, workers=1).record, scored(place, controls=True, workers=3).record
    assert first.pop('created') and second.pop('created')
    assert first == second
    (place / 'vi/p3.png').write_bytes((place / 'vi/p2.png').read_bytes())
    third = scored(place).record['inputs']
    assert third['source_b']['sha256'] != first['inputs']['source_b']['sha256']
    assert third['source_a'] == first['inputs']['source_a']


def test_the_record_is_strict_json(place):
    (place / 'fused/p1.png').write_bytes((place / 'ir/p1.png').read_bytes())
    (place / 'truth/p1.png').write_bytes((place / 'ir/p1.png').read_bytes())
    scores = scored(place, metrics=['SCD'], truth=place / 'truth', truth_metrics=['PSNR'])
    scores.write(place / 'a.csv')
    record = json.loads((place / 'a.json').read_text(), parse_constant=lambda word: pytest.fail(word))
    assert [(item['metric'], item['value']) for item in record['undefined']] == [
        ('SCD', 'NaN'), ('truth/PSNR', 'Infinity')]
    assert record['undefined'][0]['reasons'] == ['the fused image equals source A']
    assert record['summary']['SCD']['mean'] == 'NaN' and record['summary']['truth/PSNR']['mean'] == 'Infinity'


@pytest.mark.parametrize(('options', 'error', 'message'), [
    (dict(metrics=['VIFG']), UnknownNameError, 'Did you mean VIF'),
    (dict(metrics=['MI:flim']), UnknownNameError, 'Did you mean film'),
    (dict(truth='ir', truth_metrics=['PSNK']), UnknownNameError, 'Did you mean PSNR'),
    (dict(protocol='flim'), ConfigError, 'Did you mean film'),
    (dict(task='ivg'), ConfigError, 'Did you mean ivf'),
    (dict(metrics=[]), ConfigError, 'no metric'),
    (dict(workers=0), ConfigError, 'at least one worker'),
    (dict(device='cupu'), ConfigError, "The device 'cupu' cannot be used"),
])
def test_mistakes_come_to_light_before_any_folder_is_opened(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        score_folder(tmp_path / 'no', tmp_path / 'such', tmp_path / 'folder', **options)


def test_scores_of_images_drawn_here(place):
    image = grey_levels(read_image(place / 'fused/p2.png'), get_protocol('plain'))
    row = scored(place, protocol='plain').rows[2]
    assert row == {'name': 'p2', 'protocol': 'plain.1', 'EN': EN(image, image, image).item(),
                   'SD': SD(image, image, image).item(), 'SF': SF(image, image, image).item()}


@pytest.mark.slow
@pytest.mark.skipif(find_spec('ray') is None, reason="pip install 'vlfusion[ray]'")
def test_workers_of_a_cluster_give_equal_scores(place):
    """Scores, controls and record, to the bit; and the same list of problems."""
    options = dict(metrics=['EN', 'VIF', 'Qabf', 'MI'], truth=place / 'truth', controls=True)
    plain = scored(place, **options, workers=2)
    with Cluster('local', workers=3) as cluster:
        for cluster.workers in (3, 1):
            other = scored(place, **options, cluster=cluster)
            assert (other.rows, other.controls, other.undefined) == (plain.rows, plain.controls, plain.undefined)
            of_both = [json.dumps(scores.record | {'created': ''}) for scores in (other, plain)]  # NaN equals no NaN
            assert of_both[0] == of_both[1]
        (place / 'ir' / 'p1.png').write_bytes(b'no image')
        with pytest.raises(DataError, match='1 problem') as of_cluster:
            scored(place, **options, cluster=cluster)
    with pytest.raises(DataError) as of_threads:
        scored(place, **options)
    assert str(of_cluster.value) == str(of_threads.value)
