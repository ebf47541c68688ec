"""Messages of `train` and `test`: a few lines after everything is checked; the whole log with -v and in its file."""

import pytest

from vlfusion.cli import main


@pytest.fixture
def config(toy):
    """The path of a toy config of three steps."""
    toy(**{'train_cfg.max_iters': 3, 'train_cfg.val_interval': 3}).dump(toy.data.parent / 'toy.py')
    return toy.data.parent / 'toy.py'


@pytest.mark.slow
def test_training_and_testing_say_a_few_lines(config, toy, capsys):
    assert main(['train', str(config)]) == 0
    out, err = capsys.readouterr()
    log = next(toy.work.glob('*/*.log'))
    assert out.splitlines() == [
        'Model: FILM, 1,875,675 parameters, on cpu',
        'Data:  data (5 pairs) for training, data (5 pairs) for validation',
        'Steps: 3, each of 2 pairs, 1.2 times through the data',
        f'Log:   {log}',
        f'Checkpoints and logs are in {toy.work}.']
    assert err.startswith('training: 0 of 3\n') and 'Validation after step 3: EN ' in err
    assert len(err.splitlines()) <= 6
    written = log.read_text()
    assert 'System environment' in written and 'guidance_grid' in written and 'Iter(train) [1/3]' in written

    assert main(['test', str(config), str(toy.work / 'iter_3.pth'), '--out', str(toy.work / 'out')]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f'Model: FILM, 1,875,675 parameters, on cpu, weights of {toy.work / "iter_3.pth"}\n'
                          'Data:  data (5 pairs)\n')
    assert 'System environment' not in out + err and err.startswith('testing: 0 of 5\n')


@pytest.mark.slow
def test_a_resumed_training_says_from_where(config, toy, capsys):
    assert main(['train', str(config)]) == 0
    capsys.readouterr()
    assert main(['train', str(config), '--resume', '--cfg-options', 'train_cfg.max_iters=4']) == 0
    out, err = capsys.readouterr()
    assert 'from step 4 on' in out and 'Advance dataloader' not in out + err


@pytest.mark.slow
def test_verbose_shows_the_whole_log(config, capsys):
    assert main(['train', str(config), '-v']) == 0
    out, err = capsys.readouterr()
    assert 'System environment' in out and 'guidance_grid' in out and 'Iter(train) [1/3]' in out + err


@pytest.mark.slow
def test_an_error_is_not_preceded_by_anything(config, toy, capsys):
    for path in (toy.data / 'text').glob('*.npy'):
        path.unlink()
    for command in (['train', str(config)], ['test', str(config), str(toy.work / 'no.pth')]):
        assert main(command) == 2
        out, err = capsys.readouterr()
        assert out == '' and err.startswith('error: ') and len(err.splitlines()) < 12


def test_missing_texts_are_named_a_few_and_counted(toy, capsys):
    from vlfusion.testing.toys import draw_pairs
    draw_pairs(toy.data, [f'q{i:03}' for i in range(100)], size=(4, 4))
    toy().dump(toy.data.parent / 'toy.py')
    assert main(['train', str(toy.data.parent / 'toy.py')]) == 2
    err = capsys.readouterr().err
    assert '100 of 105 pairs' in err and 'q000' in err and '... and 95 more' in err and len(err.splitlines()) < 12


@pytest.mark.slow
def test_progress_is_shown_where_the_config_has_hooks_of_its_own(toy, capsys):
    from vlfusion.engine.runner import build_runner
    config = toy(**{'train_cfg.max_iters': 1, 'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None})
    config.custom_hooks = [dict(type='EmptyCacheHook')]
    build_runner(config, 'train').train()
    out, err = capsys.readouterr()
    assert 'no validation' in out and err.splitlines()[-1].startswith('training: 1 of 1')
