"""Real training through MMEngine's Runner on toy pairs: steps, resume, precision, processes, and early errors."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from filelock import FileLock

from vlfusion.data import PairDataset
from vlfusion.data.instructed import Instructions
from vlfusion.engine.checkpoints import load_model
from vlfusion.engine.locks import LOCK
from vlfusion.engine.named import experiment_of
from vlfusion.engine.runner import build_runner, latest_checkpoint
from vlfusion.engine.states import write_state
from vlfusion.errors import CheckpointError, ConfigError, DataError, UnknownNameError, VLFusionError
from vlfusion.language.keys import Keys
from vlfusion.language.store import TextStore
from vlfusion.models.backbones.film import FILM
from vlfusion.models.layers.restormer import GatedFeedForward, gated
from vlfusion.system.launchers import VARIABLES


def _weights(path):
    return torch.load(path, weights_only=True)['state_dict']


def _same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.slow
def test_training_validates_keeps_last_and_best_and_logs(toy):
    runner = build_runner(toy(), 'train')
    runner.train()
    assert latest_checkpoint(toy.work).name == 'iter_6.pth'
    assert len(list(toy.work.glob('iter_*.pth'))) == 2 and len(list(toy.work.glob('best_Qabf_*.pth'))) == 1
    scalars = [json.loads(line) for line in next(toy.work.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    assert {'max_intensity', 'max_gradient', 'loss', 'lr'} <= scalars[0].keys()
    assert [line['step'] for line in scalars if 'VIF' in line] == [3, 6]
    model, experiment = load_model(toy.work / 'iter_6.pth')
    assert experiment['task'] == 'ivf' and experiment['protocol'] == 'film'
    assert _same(model.state_dict(), _weights(toy.work / 'iter_6.pth'))


@pytest.mark.slow
def test_tensorboard(toy):
    pytest.importorskip('tensorboard')
    config = toy(**{'train_cfg.max_iters': 1})
    config.visualizer.vis_backends.append(dict(type='TensorboardVisBackend'))
    build_runner(config, 'train').train()
    assert list(toy.work.glob('*/vis_data/events.out.tfevents*'))


@pytest.mark.slow
@pytest.mark.parametrize('workers', [0, 2])
def test_resume_after_sigkill_is_bit_equal(toy, tmp_path, workers):
    options = {'train_dataloader.num_workers': workers, 'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}
    build_runner(toy(**options, work_dir=str(tmp_path / 'whole')), 'train').train()

    # Train far longer than needed in another process, and kill it once its first checkpoint is there.
    config = toy(**options, **{'train_cfg.max_iters': 10_000, 'default_hooks.checkpoint.max_keep_ckpts': -1})
    config.param_scheduler = None
    config.dump(tmp_path / 'long.py')
    process = subprocess.Popen([sys.executable, '-c', f"""
from vlfusion.cli import main
main(['train', r'{tmp_path / 'long.py'}'])"""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (toy.work / 'iter_4.pth').exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (toy.work / 'iter_4.pth').exists()
    for path in toy.work.glob('iter_*.pth'):
        if path.name not in ('iter_2.pth', 'iter_4.pth'):
            path.unlink()

    config = toy(**options)
    config.resume = True
    build_runner(config, 'train').train()
    assert _same(_weights(toy.work / 'iter_6.pth'), _weights(tmp_path / 'whole/iter_6.pth'))


@pytest.mark.slow
def test_resume_with_nothing_to_resume_starts_afresh(toy):
    config = toy(**{'train_cfg.max_iters': 1})
    config.resume = True
    build_runner(config, 'train').train()
    assert latest_checkpoint(toy.work).name == 'iter_1.pth'


@pytest.mark.slow
def test_resume_goes_on_after_weights_without_an_optimizer(toy, tmp_path):
    config = toy(**{'train_cfg.max_iters': 1})
    state = build_runner(config, 'train').model.state_dict()
    write_state(tmp_path / 'begin.safetensors', {name: torch.full_like(value, 0.5) for name, value in state.items()},
                dict(vlfusion=experiment_of(config)))
    for steps in (1, 2):
        config = toy(**{'train_cfg.max_iters': steps})
        config.update(resume=True, load_from=str(tmp_path / 'begin.safetensors'))
        build_runner(config, 'train').train()
    optimizer = torch.load(toy.work / 'iter_2.pth', weights_only=True)['optimizer']
    assert {int(state['step']) for state in optimizer['state'].values()} == {2}


def instructed(toy, folder, begin, **options):
    """A config of a network that learns to obey, whose base is frozen and begins with the weights `begin`."""
    language = dict(store=str(folder), encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
    config = toy(**{'train_cfg.max_iters': 2, 'default_hooks.checkpoint.interval': 1, **options})
    config.model.update(type='InstructedModel', trainable=['correction'], losses=[dict(type='AskedIntensityLoss')])
    config.model.backbone.update(guidance='spatial', instruction_dim=6)
    part = config.train_dataloader.dataset
    part.update(language=language, instructions=dict(count=2, pool=5))
    store, keys, random = TextStore(language['store']), Keys(language), np.random.default_rng(0)
    given = {key: part[key] for key in ('task', 'data_root', 'source_a', 'source_b')}
    for text in Instructions(language, count=2, pool=5).texts(PairDataset(**given).pairs):
        store.write('features', keys.fixed(text), dict(text=text), random.normal(size=(3, 6)).astype(np.float32))
    config.load_from = str(begin)
    return config


@pytest.mark.slow
def test_a_trained_network_learns_to_obey_and_keeps_what_it_learned(toy, tmp_path):
    build_runner(toy(**{'train_cfg.max_iters': 1, 'train_cfg.val_interval': 1}), 'train').train()
    begin = toy.work / 'iter_1.pth'
    begin.rename(tmp_path / 'begin.pth')
    config = instructed(toy, tmp_path / 'text', tmp_path / 'begin.pth')
    build_runner(config, 'train').train()
    log = ''.join(path.read_text() for path in toy.work.glob('*/*.log'))
    assert 'tensors of backbone.correction, which begin untrained' in log
    before, after = _weights(tmp_path / 'begin.pth'), _weights(toy.work / 'iter_2.pth')
    assert all(torch.equal(after[name], value) for name, value in before.items()), 'the base stays to the bit'
    assert after['backbone.correction.numbers.3.weight'][:8].any()

    (toy.work / 'iter_2.pth').unlink()
    config = instructed(toy, tmp_path / 'text', tmp_path / 'begin.pth')
    config.update(resume=True, load_from=None)
    build_runner(config, 'train').train()
    assert _same(_weights(toy.work / 'iter_2.pth'), after), 'resuming is bit-equal'


@pytest.mark.slow
def test_weights_that_lack_more_than_what_is_trained_are_refused(toy, tmp_path):
    state = build_runner(toy(), 'train').model.state_dict()
    experiment = dict(vlfusion=experiment_of(toy()))
    write_state(tmp_path / 'whole.safetensors', state, experiment)
    state.pop('backbone.text_projection.weight')
    write_state(tmp_path / 'damaged.safetensors', state, experiment)
    for begin, changes in (('damaged', {}), ('whole', dict(trainable=['stages']))):
        config = instructed(toy, tmp_path / 'text', tmp_path / f'{begin}.safetensors')
        config.model.update(changes)
        with pytest.raises(CheckpointError, match='(?s)does not fit the model.*missing: backbone'):
            build_runner(config, 'train').train()
    config = instructed(toy, tmp_path / 'text', tmp_path / 'whole.safetensors')
    with pytest.raises(CheckpointError, match='missing: backbone.correction'):
        build_runner(config, 'test').test()


@pytest.mark.slow
def test_bfloat16_on_this_machines_device(toy):
    runner = build_runner(toy(**{'optim_wrapper.type': 'BFloat16OptimWrapper', 'train_cfg.max_iters': 2}), 'train')
    seen = []
    branch = runner.model.backbone.stages[0].branch_a
    hook = branch.register_forward_hook(lambda module, inputs, features: seen.append(features.dtype))
    runner.train()
    hook.remove()
    assert seen[0] == torch.bfloat16
    assert all(parameter.dtype == torch.float32 for parameter in runner.model.parameters())
    assert all(torch.isfinite(value).all() for value in _weights(toy.work / 'iter_2.pth').values())


@pytest.mark.slow
def test_the_backbone_is_compiled_or_checkpointed_where_the_config_says_so(toy, tmp_path):
    once = {'train_cfg.max_iters': 2, 'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}
    build_runner(toy(**once, work_dir=str(tmp_path / 'plain')), 'train').train()
    runner = build_runner(toy(**once, **{'compile': dict(backend='eager'), 'activation_checkpointing': [
        'backbone.stages.0.branch_a']}, work_dir=str(tmp_path / 'other')), 'train')
    assert all(part.gated is not gated for part in runner.model.modules() if isinstance(part, GatedFeedForward))
    runner.train()
    plain, other = (_weights(tmp_path / which / 'iter_2.pth') for which in ('plain', 'other'))
    assert plain.keys() == other.keys()
    for name in plain:
        torch.testing.assert_close(plain[name], other[name], rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(('options', 'expected'), [({}, 'ieee'), ({'tf32': True}, 'tf32')])
def test_training_and_testing_are_float32_unless_tf32_is_allowed(toy, options, expected):
    once = {'train_cfg.max_iters': 1, 'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}
    for stage, seen in (('train', []), ('test', [])):
        runner = build_runner(toy(**(once if stage == 'train' else {}), **options), stage)
        runner.model.backbone.register_forward_hook(
            lambda *_, seen=seen: seen.append(torch.backends.cudnn.conv.fp32_precision))
        getattr(runner, stage)()
        assert set(seen) == {expected}
    assert torch.backends.cudnn.conv.fp32_precision == 'tf32'


@pytest.mark.slow
def test_two_processes_train_as_one_and_validate_each_pair_once(toy, tmp_path):
    """Two processes of batch 1 take the very draws of one process of batch 2, and validate five pairs, not six."""
    csv_path = tmp_path / 'validation.csv'
    options = {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2}
    build_runner(toy(**options, work_dir=str(tmp_path / 'one')), 'train').train()
    toy(**options, **{'train_dataloader.batch_size': 1, 'val_evaluator.csv': str(csv_path)}).dump(tmp_path / 'two.py')
    done = subprocess.run([sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2',
                           'tools/train.py', str(tmp_path / 'two.py'), '--launcher', 'pytorch'], text=True,
                          env={**os.environ, 'OMP_NUM_THREADS': '1'}, capture_output=True)
    assert done.returncode == 0, done.stderr[-6000:]
    one, two = _weights(tmp_path / 'one/iter_2.pth'), _weights(toy.work / 'iter_2.pth')
    assert all(torch.allclose(one[key], two[key], atol=1e-4) for key in one)
    with csv_path.open() as file:
        assert [row['name'] for row in csv.DictReader(file)] == [f'p{i}' for i in range(5)]


@pytest.mark.slow
def test_memory_that_runs_out_in_training_is_an_error_with_a_remedy(toy, monkeypatch):
    runner, full = build_runner(toy(), 'train'), torch.OutOfMemoryError('CUDA out of memory.')

    def short_of_memory(*_, **__):
        raise full

    monkeypatch.setattr(runner.model.backbone, 'forward', short_of_memory)
    with pytest.raises(VLFusionError, match=r'Memory ran out in training.\n.*batch_size'):
        runner.train()


@pytest.mark.slow
def test_a_training_can_be_deterministic(toy):
    runner = build_runner(toy(**{'train_cfg.max_iters': 1, 'randomness.deterministic': True}), 'train')
    try:
        assert torch.are_deterministic_algorithms_enabled()
        runner.train()
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False


@pytest.mark.slow
def test_slurm_needs_no_gpu(toy, tmp_path):
    """Two processes train one step, started as srun starts them, with a runner built from the config alone."""
    toy(**{'train_cfg.max_iters': 1, 'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None,
           'train_dataloader.collate_fn': dict(type='vlfusion.stack_samples'), 'launcher': 'slurm',
           'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False,
           'default_hooks.checkpoint.interval': 1}).dump(tmp_path / 'two.py')
    code = (f'from vlfusion.config import load_config; from vlfusion.engine.runner import FusionRunner; '
            f'FusionRunner.from_cfg(load_config({str(tmp_path / "two.py")!r})).train()')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    processes = [subprocess.Popen([sys.executable, '-c', code], env={
        **os.environ, **dict(zip(VARIABLES['slurm'], (str(rank), '2', str(rank)), strict=True)),
        'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port)}) for rank in range(2)]
    for process in processes:
        process.wait(timeout=300)  # its exit code says nothing: gloo may abort when a process ends
    assert (toy.work / 'iter_1.pth').is_file()


def test_wrong_text_width_stops_before_training(toy):
    with pytest.raises(ConfigError, match=r'width 9.*have width 8.*\n.*model.backbone.text_dim=8'):
        build_runner(toy(**{'model.backbone.text_dim': 9}), 'train')


def test_a_training_that_cannot_be_set_up_leaves_its_folder_to_others(toy, tmp_path):
    with pytest.raises(ConfigError) as _:  # whose traceback keeps everything alive
        build_runner(toy(**{'model.backbone.text_dim': 9}, work_dir=str(tmp_path / 'work')), 'train')
    with FileLock(tmp_path / 'work' / LOCK, timeout=0):
        pass


@pytest.mark.slow
def test_a_model_that_reads_text_and_data_without_any_stop_before_training(toy):
    config = toy()
    config.val_dataloader.dataset.pop('text_source')
    config.pop('text_source')
    with pytest.raises(ConfigError, match='has no text'):
        build_runner(config, 'train')


@pytest.mark.slow
def test_a_text_that_may_be_absent_need_not_be_in_the_data(toy, monkeypatch):
    monkeypatch.setattr(FILM, 'text_optional', True, raising=False)
    config = toy()
    config.val_dataloader.dataset.pop('text_source')
    config.pop('text_source')
    build_runner(config, 'train')
    config.model.backbone.text_dim = 9
    with pytest.raises(ConfigError, match=r'width 9.*have width 8'):
        build_runner(config, 'train')


def test_misspelt_arguments_are_answered_with_a_guess(toy):
    with pytest.raises(ConfigError, match=r"FILM has no argument 'text_dims'.*\n.*Did you mean text_dim"):
        build_runner(toy(**{'model.backbone.text_dims': 8}), 'train')
    with pytest.raises(ConfigError, match=r"PairDataset has no argument 'tsk'"):
        build_runner(toy(**{'train_dataloader.dataset.tsk': 8}), 'train')


@pytest.mark.slow
def test_missing_text_feature_stops_before_training(toy):
    (toy.data / 'text/p3.npy').unlink()
    with pytest.raises(DataError, match='p3'):
        build_runner(toy(), 'train')


def test_missing_data_names_the_place_and_both_remedies(toy):
    config = toy()
    config.train_dataloader.dataset.data_root = '/nowhere/at/all'
    with pytest.raises(DataError, match=r'(?s)/nowhere/at/all.*Prepare the data.*_sample'):
        build_runner(config, 'train')


class _Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


def test_malicious_checkpoint_is_refused_without_running(toy, tmp_path):
    torch.save(dict(state_dict={}, meta=_Bomb(tmp_path / 'ran')), tmp_path / 'bomb.pth')
    with pytest.raises(CheckpointError, match='bomb.pth was refused'):
        load_model(tmp_path / 'bomb.pth')
    config = toy()
    config.load_from = str(tmp_path / 'bomb.pth')
    with pytest.raises(CheckpointError, match='bomb.pth was refused'):
        build_runner(config, 'test').test()
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('poison', [
    lambda bomb: dict(type='FusionModel', backbone=dict(type='FILM'), data_preprocessor=bomb),
    lambda bomb: dict(type='FusionModel', backbone=bomb),
    lambda bomb: {**bomb, '_scope_': 'mmengine'},
    lambda bomb: dict(type='FusionModel', backbone={**bomb, '_scope_': 'mmengine'}),
    lambda bomb: dict(type='FusionModel', backbone=dict(type='FILM'),
                      data_preprocessor={**bomb, '_scope_': 'mmengine'}),
])
def test_a_checkpoint_names_registered_classes_only(poison, tmp_path):
    bomb = dict(type='subprocess.Popen', args=['touch', str(tmp_path / 'ran')])
    torch.save(dict(state_dict={}, meta=dict(vlfusion=dict(task='ivf', model=poison(bomb)))), tmp_path / 'bomb.pth')
    with pytest.raises((UnknownNameError, CheckpointError), match=r'subprocess\.Popen|without a type'):
        load_model(tmp_path / 'bomb.pth')
    time.sleep(0.05)
    assert not (tmp_path / 'ran').exists()


@pytest.mark.slow
def test_losses_of_a_checkpoint_are_not_even_built(toy, tmp_path):
    bomb = dict(type='subprocess.Popen', args=['touch', str(tmp_path / 'ran')])
    build_runner(toy(**{'train_cfg.max_iters': 1, 'default_hooks.checkpoint.interval': 1}), 'train').train()
    checkpoint = torch.load(toy.work / 'iter_1.pth', weights_only=True)
    checkpoint['meta']['vlfusion']['model']['losses'] = [bomb]
    torch.save(checkpoint, tmp_path / 'bomb.pth')
    model, _ = load_model(tmp_path / 'bomb.pth')
    time.sleep(0.05)
    assert not model.losses and not (tmp_path / 'ran').exists()


def test_a_launcher_that_did_not_start_the_process_is_told_of(toy, monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(ConfigError, match='needs the variable RANK'):
        build_runner(toy(launcher='pytorch'), 'train')


def test_strange_files_beside_checkpoints_are_passed_over(tmp_path):
    for name in ('iter_2.pth', 'iter_10.pth', 'iter_abc.pth', 'iter_.pth', 'iter_3.pth.bak', 'best_EN_iter_99.pth'):
        (tmp_path / name).touch()
    assert latest_checkpoint(tmp_path).name in ('iter_2.pth', 'iter_10.pth')
    assert latest_checkpoint(tmp_path / 'nowhere') is None


@pytest.mark.slow
def test_secrets_reach_no_file(toy, monkeypatch):
    config = toy(**{'train_cfg.max_iters': 1})
    monkeypatch.setenv('OPENAI_API_KEY', 'do-not-write-3')
    config.language = dict(store='s', llm=dict(
        type='TemplateLLM', api_key='do-not-write-1', headers={'Authorization': 'Bearer do-not-write-2'},
        extra=dict(user_key='do-not-write-1', user='do-not-write-3'), api_key_env='sk-do-not-write-4'))
    build_runner(config, 'train').train()
    assert not [path for path in toy.work.rglob('*') if path.is_file() and b'do-not-write' in path.read_bytes()]


@pytest.mark.slow
def test_truncated_and_foreign_checkpoints_name_themselves(toy, tmp_path):
    build_runner(toy(**{'train_cfg.max_iters': 1}), 'train').train()
    whole = (toy.work / 'iter_1.pth').read_bytes()
    (tmp_path / 'cut.pth').write_bytes(whole[:len(whole) // 2])
    with pytest.raises(CheckpointError, match='cut.pth'):
        load_model(tmp_path / 'cut.pth')
    (tmp_path / 'empty.pth').touch()
    with pytest.raises(CheckpointError, match='empty.pth'):
        load_model(tmp_path / 'empty.pth')
    torch.save(dict(weight=torch.zeros(1)), tmp_path / 'foreign.pth')
    with pytest.raises(CheckpointError, match='(?s)foreign.pth.*convert-weights'):
        load_model(tmp_path / 'foreign.pth')
    checkpoint = torch.load(toy.work / 'iter_1.pth', weights_only=True)
    checkpoint['state_dict'].pop('backbone.' + next(iter(load_model(toy.work / 'iter_1.pth')[0].backbone.state_dict())))
    torch.save(checkpoint, tmp_path / 'partial.pth')
    with pytest.raises(CheckpointError, match=r'(?s)partial.pth does not fit.*missing: backbone\.'):
        load_model(tmp_path / 'partial.pth')


@pytest.mark.parametrize('key', ['optim_wrapper', 'train_cfg', 'train_dataloader'])
def test_a_config_that_is_not_for_training_says_so(toy, key):
    config = toy()
    config.pop(key)
    with pytest.raises(ConfigError, match=f'has no {key}, so it cannot train'):
        build_runner(config, 'train')
