"""Scores of images that are fused from any number of sources."""

import json
import shutil

import numpy as np
import pytest
import tifffile
import torch

from vlfusion import score, score_stack, score_stacks
from vlfusion.cli import main
from vlfusion.errors import ConfigError, DataError
from vlfusion.evaluation.rows import read_csv
from vlfusion.imaging.images import read_image, write_image
from vlfusion.metrics import MEF_SSIM, Qabf, metric
from vlfusion.metrics.base import metric_names
from vlfusion.metrics.gradients import edge_strength

EACH = ['VIF', 'SSIM', 'SSIM:film', 'CC', 'MI', 'PSNR']


def draw(count, size=(48, 56), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *size)).astype(np.uint8)


@pytest.fixture
def files(tmp_path):
    """Two stacks of three and four sources, and what is fused from them."""
    for name, images in (('p', draw(4)), ('q', draw(5, seed=1))):
        write_image(tmp_path / f'fused/{name}.png', images[0])
        for number, image in enumerate(images[1:]):
            write_image(tmp_path / f'stacks/{name}/{number}.png', image)
    return tmp_path


def test_pages_of_a_file_score_as_their_pictures(files):
    (files / 'pages').mkdir()
    for name, count in (('p', 3), ('q', 4)):
        tifffile.imwrite(files / f'pages/{name}.tif', np.stack([
            read_image(files / f'stacks/{name}/{number}.png') for number in range(count)]), photometric='minisblack')
    scores = [score_stacks(files / 'fused', [files / place], metrics=['Qabf', 'MEF_SSIM', 'MI'])
              for place in ('stacks', 'pages')]
    assert scores[0].rows == scores[1].rows and len(scores[0].rows) == 2


def test_two_sources_are_a_pair():
    fused, *pair = draw(3)
    names = [name for name in metric_names() if metric(name).info.smallest <= 48]
    assert score_stack(fused, pair, names) == score(fused, *pair, names)


def test_values_of_each_source_are_averaged_and_of_the_fused_image_alone_stay():
    fused, *sources = draw(4)
    over_all = score_stack(fused, sources, [*EACH, 'EN', 'SF'])
    singles = [score(fused, source, source, [*EACH, 'EN', 'SF']) for source in sources]
    assert over_all == pytest.approx({name: np.mean([single[name] for single in singles]) for name in over_all})


def test_qabf_sums_over_all_sources():
    fused, *sources = (torch.from_numpy(image)[None, None].double() for image in draw(4))
    strengths = [metric('Qabf')(fused, source, source).item() for source in sources]
    weights = [edge_strength(source).sum().item() for source in sources]
    assert Qabf(fused, *sources).item() == pytest.approx(np.average(strengths, weights=weights))


def test_mef_ssim_patch_by_patch():
    """The formula of the paper for one 11x11 patch of three sources, written down with patches."""
    fused, *sources = (torch.from_numpy(image)[None, None].double() for image in draw(4, (11, 11)))
    patches = [(source - source.mean()).flatten().numpy() for source in sources]
    norms = np.array([np.linalg.norm(patch) for patch in patches])
    power = min(np.tan(np.pi / 2 * np.linalg.norm(sum(patches)) / norms.sum()), 10)
    norms += 0.001
    weights = norms ** power / (norms ** power).sum()
    structure = sum(weight * patch / norm for weight, patch, norm in zip(weights, patches, norms, strict=True))
    desired = norms.max() * structure / np.linalg.norm(structure)
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(taps, taps).ravel() / taps.sum() ** 2
    image = fused.flatten().numpy()
    mean_x, mean_f = window @ desired, window @ image
    variances = window @ desired ** 2 - mean_x ** 2 + window @ image ** 2 - mean_f ** 2
    constant = (0.03 * 255) ** 2
    expected = (2 * (window @ (desired * image) - mean_x * mean_f) + constant) / (variances + constant)
    assert MEF_SSIM(fused, *sources).item() == pytest.approx(expected, abs=1e-9)


def test_a_copied_source_changes_nothing_but_its_weight():
    fused, first, second = draw(3)
    assert score_stack(fused, [first, second, first, second], ['Qabf', 'VIF', 'CC']) == pytest.approx(
        score(fused, first, second, ['Qabf', 'VIF', 'CC']))


@pytest.mark.parametrize('name', ['SCD', 'Qcb', 'Nabf', 'Qabf:liu'])
def test_metrics_for_two_sources_refuse_more(name):
    fused, *sources = draw(4)
    with pytest.raises(DataError, match=f'{name} is defined for two sources, but there are 3'):
        score_stack(fused, sources, [name])


def test_wrong_stacks_are_refused():
    fused, *sources = draw(4)
    with pytest.raises(DataError, match='two sources or more, but got 1'):
        score_stack(fused, sources[:1])
    with pytest.raises(DataError, match='source_3 is 50x48'):
        score_stack(fused, [*sources[:2], sources[2][:, :50]])


def test_a_folder_of_stacks(files, capsys):
    table = files / 'scores.csv'
    names = ['EN', 'Qabf', 'MEF_SSIM']
    assert main(['evaluate', str(files / 'fused'), '--stacks', str(files / 'stacks'), '--metrics', *names,
                 '--protocol', 'plain', '--out', str(table)]) == 0
    rows = {row['name']: row for row in read_csv(table)}
    for name, images in (('p', draw(4)), ('q', draw(5, seed=1))):
        expected = score_stack(images[0], list(images[1:]), names)
        assert {key: rows[name][key] for key in expected} == pytest.approx(expected)
    inputs = json.loads(table.with_suffix('.json').read_text())['inputs']
    assert list(inputs['stacks']['files']) == ['p/1', 'p/2', 'p/3', 'q/1', 'q/2', 'q/3', 'q/4']


def test_a_truth_is_compared_with(files):
    shutil.copytree(files / 'fused', files / 'truth')
    scores = score_stacks(files / 'fused', [files / 'stacks'], files / 'truth', metrics=['EN'])
    assert [row['truth/SSIM'] for row in scores.rows] == [1, 1]


def test_stacks_and_fused_images_match_by_name(files):
    write_image(files / 'fused/r.png', draw(1)[0])
    with pytest.raises(DataError, match='r has no stack'):
        score_stacks(files / 'fused', [files / 'stacks'])
    (files / 'fused/r.png').unlink()
    (files / 'fused/q.png').unlink()
    with pytest.raises(DataError, match='the stack q has no fused image'):
        score_stacks(files / 'fused', [files / 'stacks'])
    with pytest.raises(DataError, match='p: SCD is defined for two sources, but there are 3'):
        (files / 'stacks/q').rename(files / 'q')
        score_stacks(files / 'fused', [files / 'stacks'], metrics=['SCD'])


def test_options_of_pairs_are_refused(files, capsys):
    command = ['evaluate', str(files / 'fused'), '--out', str(files / 'x.csv')]
    assert main(command) == 2
    assert 'Expected --source-a and --source-b, or --stacks.' in capsys.readouterr().err
    assert main([*command, '--stacks', str(files / 'stacks'), '--controls']) == 2
    assert '--controls has no effect on stacks.' in capsys.readouterr().err
    with pytest.raises(ConfigError, match='from 1 on|at least one worker'):
        score_stacks(files / 'fused', [files / 'stacks'], workers=0)
