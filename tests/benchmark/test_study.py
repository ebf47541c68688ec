"""Downstream studies from config to table: what each source hides, only a fused picture shows."""

import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from vlfusion.benchmark.study import load_study
from vlfusion.benchmark.study_result import run_study
from vlfusion.benchmark.study_run import StudyRun
from vlfusion.cli import main
from vlfusion.downstream.scoring.comparing import board_of_sets
from vlfusion.errors import ConfigError, VLFusionError
from vlfusion.evaluation.rows import read_csv
from vlfusion.files import strict_json
from vlfusion.testing.labelled_toys import draw_scenes

TRAIN, TEST = [f's{index:02d}' for index in range(24)], [f't{index:02d}' for index in range(16)]
SEGMENTER = dict(type='TransformersSegmenter', size=(64, 64), model=dict(
    model_type='segformer', depths=(1, 1, 1, 1), hidden_sizes=(16, 32, 64, 64), decoder_hidden_size=64,
    num_attention_heads=(1, 2, 4, 4)))
DETECTOR = dict(type='TorchvisionDetector', model='fcos', backbone='test_resnet', levels=(1, 2, 3), channels=64,
                convs=1, size=(64, 64))


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp('scenes')
    for split, names, seed in (('train', TRAIN, 0), ('test', TEST, 1)):
        draw_scenes(root, names, seed=seed)
        (root / f'{split}.txt').write_text('\n'.join(names))
    return root


def write_study(folder, scenes, kind='masks', **changes):
    """A study's config; `None` leaves a key out."""
    config = dict(
        title='Scenes', task='ivf', resamples=200, data_root=str(scenes), protocol='plain',
        classes=dict(names=['nothing', 'warm', 'painted'], void=0) if kind == 'masks' else ['warm', 'painted'],
        labels=dict(type='IndexMasks', place='masks') if kind == 'masks' else dict(type='YOLOLabels', place='labels'),
        train=dict(source_a='ir', source_b='vi', names='train.txt'),
        test=dict(source_a='ir', source_b='vi', names='test.txt'),
        methods=dict(Laplacian='laplacian', Infrared=dict(fused=dict.fromkeys(('train', 'test'), f'{scenes}/ir'))),
        network=SEGMENTER if kind == 'masks' else DETECTOR,
        training=dict(max_iters=100, batch_size=4, size=(64, 64), lr=3e-3, scale=(0.8, 1.25))) | changes
    path = folder / 'study.py'
    path.write_text(''.join(f'{key} = {value!r}\n' for key, value in config.items() if value is not None))
    return str(path)


@pytest.mark.slow
def test_fused_pictures_beat_each_source_and_a_method_that_drops_one(scenes, tmp_path, capsys):
    path, column = write_study(tmp_path, scenes, 'boxes'), 'AP50'
    assert main(['downstream', 'test', path, '--out', str(tmp_path / 'out'), '--json']) == 0
    answer = json.loads(capsys.readouterr().out)
    facts = answer['board']['metrics'][column]
    others = ['Infrared', 'infrared alone', 'visible alone']
    assert facts['ranks'] == {'Laplacian': 1} | dict.fromkeys(others, 2)
    assert all(facts['means']['Laplacian'] > facts['means'][name] + 0.3 for name in others)
    assert facts['means']['Infrared'] == facts['means']['infrared alone'], 'the same pictures, network, seed and budget'
    assert 'Laplacian beats' in answer['verdicts']['Laplacian'] and 'does not differ' in answer['verdicts']['Infrared']
    rows = read_csv(tmp_path / 'out/scores/Laplacian.csv')
    assert [row['name'] for row in rows] == TEST and all(0 <= row[column] <= 1 for row in rows)
    assert cv2.imread(str(tmp_path / 'out/worst.png')).shape[1] > 900

    study = load_study(path, out=str(tmp_path / 'out'))
    again = run_study(study)
    assert again.counts == {'known': 4}
    assert json.loads(strict_json(again.board.facts()['metrics'][column])) == facts, 'nothing is left to chance'
    text = (tmp_path / 'out/table.md').read_text()
    assert re.search(r'^\| Laplacian \| \*\*[\d.]+ \(1\)\*\*', text, re.MULTILINE) and '| warm | painted |' in text


@pytest.mark.slow
def test_a_training_that_diverges_is_a_row_with_its_error(scenes, tmp_path, capsys):
    path = write_study(tmp_path, scenes, methods=dict(Laplacian='laplacian'), sources=False)
    options = ['--cfg-options', 'training.lr=1e30', 'training.clip=None', 'training.warmup=0']
    assert main(['downstream', 'train', path, '--out', str(tmp_path / 'out'), *options]) == 1
    err = capsys.readouterr().err
    assert 'Laplacian failed' in err and 'the training diverges' in err
    result = run_study(load_study(path, {'training.lr': 1e30, 'training.clip': None, 'training.warmup': 0},
                                  out=str(tmp_path / 'out')))
    assert 'the training diverges' in result.failures['Laplacian'] and result.counts == {}
    assert 'Laplacian failed: The loss of step' in (tmp_path / 'out/table.md').read_text()


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    """A segmenter with classes of its own, as transformers saves it."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor
    folder = tmp_path_factory.mktemp('segformer')
    settings = {key: value for key, value in SEGMENTER['model'].items() if key != 'model_type'}
    names = {0: 'nothing', 1: 'painted', 2: 'warm'}
    SegformerForSemanticSegmentation(SegformerConfig(**settings, id2label=names)).save_pretrained(folder)
    SegformerImageProcessor(size={'height': 64, 'width': 64}).save_pretrained(folder)
    return str(folder)


def test_networks_as_they_are_need_no_training_split(scenes, tmp_path, published):
    path = write_study(tmp_path, scenes, training=None, train=None, seeds=[0, 1], methods=dict(Laplacian='laplacian'),
                       network=dict(type='TransformersSegmenter', model=published))
    result = run_study(load_study(path, out=str(tmp_path / 'out')))
    assert result.plan.sets.keys() == {'test'} and [*result.scores] == [
        'Laplacian', 'infrared alone', 'visible alone']
    assert all(len(scores.by_seed) == 1 for scores in result.scores.values()), 'nothing depends on a seed'
    assert 'TransformersSegmenter as it is' in result.markdown()
    random = write_study(tmp_path, scenes, training=None, train=None, methods={})
    result = run_study(load_study(random, out=str(tmp_path / 'random')))
    assert result.scores == {} and all('has random weights' in why for why in result.failures.values())
    assert '## Scenes' in result.markdown() and result.verdicts() == {}


def test_names_in_folders_and_a_picture_of_another_size(tmp_path, published):
    root = tmp_path / 'scenes'
    for part in ('day', 'nächte 夜'):
        draw_scenes(root / 'drawn', ['0000', '0001'], seed=len(part))
        for place in ('ir', 'vi', 'masks'):
            (root / place).mkdir(parents=True, exist_ok=True)
            (root / 'drawn' / place).rename(root / place / part)
    half = tmp_path / 'half'
    for path in (root / 'ir').rglob('*.png'):
        (half / path.relative_to(root / 'ir')).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(half / path.relative_to(root / 'ir')), cv2.resize(cv2.imread(str(path), 0), (32, 32)))
    path = write_study(tmp_path, root, training=None, train=None, test=dict(source_a='ir/**', source_b='vi/**'),
                       labels=dict(type='IndexMasks', place='masks/**'),
                       methods=dict(Laplacian='laplacian', Half=dict(fused=dict(test=str(half)))),
                       network=dict(type='TransformersSegmenter', model=published))
    result = run_study(load_study(path, out=str(tmp_path / 'out')))
    assert 'is 32x32, but its sources are 64x64' in result.failures['Half'] and 'Laplacian' in result.scores
    assert {row['name'] for row in result.scores['Laplacian'].rows} == {
        f'{part}/{name}' for part in ('day', 'nächte 夜') for name in ('0000', '0001')}
    assert (tmp_path / 'out/worst.png').is_file()

    [findings] = (tmp_path / 'out/runs/Laplacian').rglob('predictions/*')
    next(findings.rglob('*.png')).unlink()  # what an earlier run lost is found again
    (tmp_path / 'out/scores/Maximum.csv').write_text('name,mIoU\n')  # of a row that the study no longer has
    again = run_study(load_study(path, out=str(tmp_path / 'out')))
    assert again.scores['Laplacian'].values == result.scores['Laplacian'].values
    assert sorted(path.stem for path in (tmp_path / 'out/scores').iterdir()) == [
        'Laplacian', 'infrared_alone', 'visible_alone']


def test_a_source_that_fails_leaves_no_verdict(scenes, tmp_path, published):
    path = write_study(tmp_path, scenes, training=None, train=None, methods=dict(Laplacian='laplacian'),
                       network=dict(type='TransformersSegmenter', model=published))
    result = run_study(load_study(path, out=str(tmp_path / 'out')))
    assert 'alone' in result.verdicts()['Laplacian']
    other = replace(result, board=board_of_sets({name: scores for name, scores in result.scores.items()
                                                 if name != 'infrared alone'}, resamples=50))
    assert other.verdicts() == {}


def test_each_checkpoint_is_a_row(scenes, tmp_path):
    study = load_study(write_study(tmp_path, scenes, methods=dict(Two=dict(checkpoint=['film-ivf', 'film-guide-ivf']))))
    assert study.names == ['Two 1', 'Two 2', 'infrared alone', 'visible alone']


def test_only_what_decides_the_weights_trains_again(scenes, tmp_path):
    def folder(**options):
        options = {key.replace('_of_', '.'): value for key, value in options.items()}
        return StudyRun(load_study(path, options, out=str(tmp_path)))._folder('Laplacian', 0, pictures)

    path, pictures = write_study(tmp_path, scenes), {name: scenes / 'vi' / f'{name}.png' for name in TRAIN}
    same = dict(training_of_workers=1), dict(training_of_save_every=9), dict(network_of_batch_size=2)
    others = dict(training_of_lr=1e-3), dict(classes_of_void=1), dict(network_of_size=(96, 96))
    assert {folder(**options) for options in same} == {folder()}
    assert len({folder(), *(folder(**options) for options in others)}) == 4


def test_a_changed_label_or_picture_trains_again(scenes, tmp_path):
    study = load_study(write_study(tmp_path, scenes), out=str(tmp_path / 'out'))
    run = StudyRun(study)
    pictures = {'train': {name: scenes / 'vi' / f'{name}.png' for name in TRAIN}}
    first = run._folder('Laplacian', 0, pictures['train'])
    other = dict(pictures['train'], s00=scenes / 'ir/s00.png')
    assert len({first, run._folder('Laplacian', 0, other), run._folder('Laplacian', 1, pictures['train'])}) == 3
    mask = cv2.imread(str(scenes / 'masks/s00.png'), 0)
    try:
        cv2.imwrite(str(scenes / 'masks/s00.png'), np.zeros_like(mask))
        assert StudyRun(study)._folder('Laplacian', 0, pictures['train']) != first
    finally:
        cv2.imwrite(str(scenes / 'masks/s00.png'), mask)
    assert StudyRun(study)._folder('Laplacian', 0, pictures['train']) == first


@pytest.mark.parametrize(('changes', 'message'), [
    (dict(network=None), 'has no network'), (dict(train=None), 'no pairs to train on'),
    (dict(test=None), 'no pairs to test on'), (dict(network=DETECTOR), 'TorchvisionDetector is a detector'),
    (dict(methods={}, sources=False), 'nothing to compare'), (dict(seeds=[]), 'seeds is empty'),
    (dict(methods={'infrared alone': 'laplacian'}), 'that of a source alone'),
    (dict(netwrok={}), 'Did you mean network'),
    (dict(methods=dict(Mine=dict(fused=dict(test='x')))), "no folder for the split 'train'"),
    (dict(methods=dict(Mine=dict(printed=dict(test='film/TNO/FILM')))), 'row of a paper'),
    (dict(training=dict(max_iters=10, size=(64, 64), max_itres=3)), 'max_itres'), (dict(alpha=2.), 'alpha'),
    (dict(variant='mine'), "no mIoU 'mine'"), (dict(correction='none'), "Unknown correction 'none'")])
def test_a_wrong_config_is_refused(scenes, tmp_path, changes, message):
    with pytest.raises(VLFusionError, match=message):
        load_study(write_study(tmp_path, scenes, **changes))


def test_a_study_has_a_place_of_its_own(scenes, tmp_path):
    study = load_study(write_study(tmp_path, scenes))
    assert str(study.out) == 'work_dirs/downstream/study' and study.names[-1] == 'visible alone'
    with pytest.raises(ConfigError, match='No config at'):
        load_study('nothing.py')
