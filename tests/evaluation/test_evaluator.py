"""The evaluator scores as `evaluate` does, writes the CSV with its record, and refuses what does not fit."""

import csv
import json
import math
import multiprocessing
import os

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger

from vlfusion.errors import ConfigError, DataError, UnknownNameError
from vlfusion.evaluation import FusionEvaluator
from vlfusion.metrics import EN, SD
from vlfusion.registry import METRICS

NAMES = ['004', '000', '003', '001', '002']


def batch(indices):
    """A batch of some of five tiny pairs, as the loader gives it, and one result of the model per image."""
    sources = torch.rand(5, 2, 1, 8, 9, generator=torch.Generator().manual_seed(0)).mul(255).round().div(255)
    names = [NAMES[i] for i in indices]
    data_batch = {'source_a': sources[indices, 0], 'source_b': sources[indices, 1], 'name': names}
    fused = 0.25 + sources[indices].mean(1) / 2
    return data_batch, [{'name': name, 'fused': image} for name, image in zip(names, fused, strict=True)]


def evaluator(**options):
    return METRICS.build({'type': 'FusionEvaluator', 'names': ['EN', 'SD'], **options})


def test_means_over_all_images_under_the_protocol():
    metric = evaluator(protocol='plain')
    for indices in ([0, 1, 2], [3, 4]):
        metric.process(*batch(indices))
    data_batch, samples = batch(range(5))
    fused = torch.stack([sample['fused'] for sample in samples]).mul(255).round()
    sources = (255 * data_batch['source_a']).round(), (255 * data_batch['source_b']).round()
    assert metric.evaluate(5) == {'EN': pytest.approx(EN(fused, *sources).mean().item()),
                                  'SD': pytest.approx(SD(fused, *sources).mean().item())}
    assert metric.results == []


def test_two_protocols_stand_side_by_side_and_the_stretch_raises_contrast():
    both = Evaluator([{'type': 'vlfusion.FusionEvaluator', 'names': ['SD'], 'protocol': name, 'prefix': name}
                      for name in ('film', 'plain')])
    data_batch, samples = batch(range(5))
    both.process(samples, data_batch)
    scores = both.evaluate(5)
    assert set(scores) == {'film/SD', 'plain/SD'}
    assert scores['film/SD'] > 1.5 * scores['plain/SD']


def test_csv_has_one_line_per_image(tmp_path):
    metric = evaluator(csv=tmp_path / 'scores.csv')
    metric.process(*batch(range(5)))
    rows = {row['name']: row for row, _ in metric.results}
    metric.evaluate(5)
    lines = list(csv.DictReader((tmp_path / 'scores.csv').open()))
    assert [line['name'] for line in lines] == ['000', '001', '002', '003', '004']
    assert all(list(line) == ['name', 'protocol', 'EN', 'SD'] and line['protocol'] == 'film.1' for line in lines)
    assert all(float(line['SD']) == rows[line['name']]['SD'] for line in lines)


def test_the_csv_has_full_names_and_a_record_beside_it(tmp_path):
    metric = evaluator(names=['MI', 'EN', 'MI:film'], csv=tmp_path / 'scores.csv')
    metric.process(*batch(range(5)))
    means = metric.evaluate(5)
    assert list(means) == ['MI', 'EN', 'MI:film'], 'named as they were asked for, as save_best has them'
    [head, *_] = csv.reader((tmp_path / 'scores.csv').open())
    assert head == ['name', 'protocol', 'MI:film', 'EN']
    record = json.loads((tmp_path / 'scores.json').read_text())
    assert record['protocol']['label'] == 'film.1' and record['images'] == 5
    assert [fact['column'] for fact in record['metrics']] == ['MI:film', 'EN']
    assert record['summary']['MI:film']['mean'] == means['MI'] == means['MI:film']


def test_a_score_does_not_depend_on_the_batch():
    together, alone = evaluator(names=['EN', 'SF']), evaluator(names=['EN', 'SF'])
    together.process(*batch(range(5)))
    for index in range(5):
        alone.process(*batch([index]))
    assert together.results == alone.results


def run_rank(rank, folder):
    torch.set_num_threads(1)
    os.chdir(folder)
    torch.distributed.init_process_group('gloo', f'file://{folder}/store', rank=rank, world_size=2)
    metric = evaluator(csv='scores.csv')
    share = [*range(5), 0][rank::2]  # as DefaultSampler deals five images out to two processes
    metric.process(*batch(share[:2]))
    metric.process(*batch(share[2:]))
    scores = metric.evaluate(5)
    torch.save(scores, f'{folder}/scores_{rank}.pt')
    torch.distributed.destroy_process_group()


def test_two_processes_count_each_image_once(tmp_path):
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=run_rank, args=(rank, str(tmp_path))) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]

    alone = evaluator(csv=tmp_path / 'alone.csv')
    alone.process(*batch(range(5)))
    expected = alone.evaluate(5)
    assert (tmp_path / 'scores.csv').read_text() == (tmp_path / 'alone.csv').read_text()
    for rank in range(2):
        assert torch.load(tmp_path / f'scores_{rank}.pt') == pytest.approx(expected)


def test_nan_is_not_averaged_away(caplog):
    metric = evaluator(names=['EN', 'Qabf'])
    data_batch, samples = batch(range(5))
    data_batch['source_a'][2] = data_batch['source_b'][2] = 0
    metric.process(data_batch, samples)
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        scores = metric.evaluate(5)
    finally:
        logger.removeHandler(caplog.handler)
    assert scores['EN'] > 0
    assert math.isnan(scores['Qabf'])
    warning, = (record for record in caplog.records if record.levelname == 'WARNING')
    assert 'Qabf:film is nan, because Qabf:film is not finite for 1 of 5 images:\n    003: nan: ' \
           'source A is constant, source B is constant, source A equals source B' in warning.getMessage()


def test_the_protocol_says_whose_variants_are_meant():
    means = {}
    for protocol in ('film', 'plain'):
        metric = evaluator(names=['MI', 'MI:film'], protocol=protocol)
        data_batch, samples = batch(range(5))
        metric.process(data_batch, [sample | {'fused': (sample['fused'] - sample['fused'].amin()) / (
            sample['fused'].amax() - sample['fused'].amin())} for sample in samples])
        means[protocol] = metric.evaluate(5)
    assert means['film']['MI'] == means['film']['MI:film']
    assert means['plain']['MI'] > 1.3 * means['plain']['MI:film'], 'bit and nat'


@pytest.mark.slow
def test_mistakes_in_a_config_come_to_light_at_construction():
    with pytest.raises(UnknownNameError, match="'VIFG' is not a known fusion metric.*\n.*Did you mean VIF"):
        evaluator(names=['EN', 'VIFG'])
    with pytest.raises(UnknownNameError, match="MI has no variant 'flim'.*\n.*Did you mean film"):
        evaluator(names=['MI:flim'])
    with pytest.raises(ConfigError, match='Unknown protocol'):
        evaluator(protocol='films')


def test_results_in_another_order_are_refused():
    data_batch, samples = batch([0, 1])
    with pytest.raises(DataError, match=r"returned results for \['000', '004'\], but its input was \['004', '000'\]"):
        evaluator().process(data_batch, samples[::-1])


def test_images_of_one_name_are_refused():
    metric = evaluator()
    metric.process(*batch([0, 1, 0]))
    with pytest.raises(DataError, match='same name:\n    004'):
        metric.evaluate(3)


def test_an_image_that_cannot_be_scored_is_named():
    data_batch, samples = batch([2])
    samples[0]['fused'] = samples[0]['fused'] * torch.nan
    with pytest.raises(DataError, match='Cannot score 003. The fused image holds NaN'):
        evaluator().process(data_batch, samples)
    with pytest.raises(DataError, match='Cannot score 003. VIF expects images of at least 41x41'):
        FusionEvaluator().process(*batch([2]))


def test_one_name_is_not_a_list_of_letters():
    with pytest.raises(ConfigError, match="names is 'EN'; expected a list of str"):
        evaluator(names='EN')
