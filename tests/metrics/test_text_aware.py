"""Text-aware metrics against the values that TextFusion's authors published; maps from memory, files and samples."""

import cv2
import numpy as np
import pytest
import torch

from vlfusion.cli import main
from vlfusion.errors import ConfigError, DataError
from vlfusion.evaluation import FusionEvaluator, score_folder
from vlfusion.imaging.images import luminance, read_image
from vlfusion.metrics import metric, score
from vlfusion.metrics.base import metric_names
from vlfusion.metrics.reference import explain
from vlfusion.testing import check_metric
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import draw_pairs

NAMES = ['Qabf+', 'SSIM+', 'VIF+']


@pytest.mark.parametrize('label', [*NAMES, *(f'{name}:textfusion' for name in NAMES)])
def test_what_every_metric_must_do(label):
    check_metric(metric(label))


@pytest.mark.parametrize(('label', 'published'), [('Qabf+:textfusion', 0.42090759572145242),
                                                  ('SSIM+:textfusion', 0.67231669303771735),
                                                  ('VIF+:textfusion', 0.88764570042445579)])
def test_equals_the_published_mean_of_two_pairs(label, published):
    folder, values = shared('zoo/textfusion/text_metrics'), []
    for number, confidence in ((1, 0.), (2, 0.37531163187991656)):
        images = [torch.tensor(read_image(folder / place), dtype=torch.float64)[None, None] for place in (
            f'outputs_TextFusion_TNO30/{number}.jpg', f'IVT_test_TNO/ir/{number}.png', f'IVT_test_TNO/vis/{number}.png',
            f'reference_text_guided_images/TNO_test30/fuse{number}.jpg')]
        values.append(metric(label)(*images, torch.full_like(images[0], 255 * confidence)).item())
    assert np.mean(values) == pytest.approx(published, rel=1e-8)


@pytest.mark.parametrize('name', NAMES)
def test_the_confidence_goes_from_the_sources_to_the_reference(name):
    fused, source_a, source_b, reference = (255 * torch.rand(4, 1, 1, 48, 50)).round().double()
    none, half, full = (
        metric(name)(fused, source_a, source_b, reference, torch.full_like(fused, level)).item()
        for level in (0, 127.5, 255))
    plain = metric(name.rstrip('+'))
    share = 0.5 if name == 'VIF+' else 1  # VIF is a sum over the sources
    assert none == pytest.approx(share * plain(fused, source_a, source_b).item())
    assert full == pytest.approx(share * plain(fused, reference, reference).item())
    assert half == pytest.approx((none + full) / 2)
    assert metric(f'{name}:textfusion').info.maps == ('reference', 'confidence')


@pytest.fixture
def place(tmp_path):
    draw_pairs(tmp_path, ['p0', 'p1'])
    for name in ('p0', 'p1'):
        infrared = cv2.imread(str(tmp_path / f'ir/{name}.png'), cv2.IMREAD_UNCHANGED)
        trust = np.full_like(infrared, 51)
        for folder, image in (('fused', infrared // 2), ('guided', 255 - infrared), ('trust', trust)):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / f'{folder}/{name}.png'), image)
    return tmp_path


def maps(place):
    return dict(reference=str(place / 'guided'), confidence=str(place / 'trust'))


def test_maps_from_memory_files_and_samples_give_equal_scores(place, capsys):
    options = dict(metrics=NAMES, maps=maps(place), protocol='plain')
    scores = score_folder(place / 'fused', place / 'ir', place / 'vi', **options)
    assert scores.record['inputs']['confidence']['folder'].endswith('trust')
    [row, _] = scores.rows
    files = [place / f'{folder}/p0.png' for folder in ('fused', 'ir', 'vi', 'guided', 'trust')]
    again = score(*files[:3], NAMES, maps=dict(reference=files[3], confidence=files[4]))
    assert again == pytest.approx({name: row[name] for name in NAMES})
    assert row['Qabf+'] != pytest.approx(score(*files[:3], ['Qabf'])['Qabf'], rel=1e-3)

    fused, *others = (torch.from_numpy(luminance(read_image(file)))[None, None] for file in files)
    evaluator = FusionEvaluator(NAMES, 'plain')
    sample = dict(zip(('source_a', 'source_b', 'reference', 'confidence'), others, strict=True), name=['p0'])
    evaluator.process(sample, [dict(name='p0', fused=fused[0])])
    assert evaluator.evaluate(1) == pytest.approx(again, rel=1e-6)
    del sample['confidence']
    with pytest.raises(DataError, match=r"p0. Qabf\+ needs the map 'confidence'.*\n.*maps=dict\(confidence="):
        evaluator.process(sample, [dict(name='p0', fused=fused[0])])

    given = [argument for name, folder in maps(place).items() for argument in ('--map', f'{name}={folder}')]
    command = ['evaluate', str(place / 'fused'), '--source-a', str(place / 'ir'), '--source-b', str(place / 'vi'),
               '--metrics', 'Qabf+', '--protocol', 'plain', '--out', str(place / 'scores.csv')]
    assert main([*command, *given]) == 0
    assert f'{scores.record["summary"]["Qabf+"]["mean"]:.4f}' in capsys.readouterr().out
    assert main(command) == 2
    assert "Qabf+ needs the map 'reference' of every pair" in capsys.readouterr().err


def test_without_maps_all_metrics_are_those_that_read_none(place):
    assert not {*NAMES} & {*metric_names()}
    assert {*NAMES} <= {*metric_names(maps=('reference', 'confidence', 'mask'))}
    with pytest.raises(DataError, match=r'has no partner in the map reference'):
        (place / 'guided/p1.png').unlink()
        score_folder(place / 'fused', place / 'ir', place / 'vi', metrics=['Qabf+'], maps=maps(place))
    with pytest.raises(ConfigError, match="No map can be called 'truth'"):
        score_folder(place / 'fused', place / 'ir', place / 'vi', maps=dict(truth=str(place / 'guided')))


def test_the_words_on_a_metric_name_its_maps():
    assert 'maps: reference, confidence' in explain('Qabf+')


def test_fidelity_in_the_wavelet_domain():
    from vlfusion.metrics.wavelet_vif import wavelet_vif
    image = torch.rand(2, 1, 70, 81, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(wavelet_vif(image, image, 0.01), torch.ones(2, dtype=torch.float64), rtol=1e-9, atol=0)
    blurred = torch.nn.functional.avg_pool2d(image, 5, 1, 2)
    assert (wavelet_vif(image, blurred, 0.01) < 0.5).all()
    # More contrast than the source has counts as more than all of its information.
    assert (wavelet_vif(image / 2, image, 0.01) > 1).all()
    black = torch.zeros_like(image)
    assert wavelet_vif(image, black, 0.01).tolist() == [0, 0] and wavelet_vif(black, image, 0.01).tolist() == [1, 1]
