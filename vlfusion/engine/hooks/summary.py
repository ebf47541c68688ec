"""A short summary of a training or test before it starts."""

from pathlib import Path


def summary(runner, stage: str) -> list[str]:
    """Summarise a run that is ready to start: its model, data, steps and log file.

    Args:
        runner: MMEngine's Runner, with its checkpoint loaded.
        stage: `training` or `testing`.
    """
    model = getattr(runner.model, 'module', runner.model)
    backbone = getattr(model, 'backbone', None) or model.network
    count = sum(parameter.numel() for parameter in backbone.parameters())
    device = next((parameter.device for parameter in backbone.parameters()), 'cpu')
    weights = f', weights of {runner.cfg.load_from}' if runner.cfg.get('load_from') else ''
    lines = [f'Model: {type(backbone).__name__}, {count:,} parameters, on {device}{weights}']
    if stage == 'training':
        lines.append(f'Data:  {_data(runner.train_dataloader)} for training, '
                     + (f'{_data(runner.val_dataloader)} for validation' if runner.val_loop else 'no validation'))
        lines.append(_steps(runner))
    else:
        lines.append(f'Data:  {_data(runner.test_dataloader)}')
    return [*lines, f'Log:   {_short(runner.logger.log_file)}']


def _data(loader) -> str:
    name, count = getattr(loader.dataset, 'name', type(loader.dataset).__name__), len(loader.dataset)
    return f'{name} ({count:,} {_noun(loader)}{"s" * (count != 1)})'


def _noun(loader) -> str:
    """Return the word for one sample of a data set."""
    return getattr(loader.dataset, 'noun', 'pair')


def _steps(runner) -> str:
    batch = runner.train_dataloader.batch_size * runner.world_size
    rounds = runner.max_iters * batch / len(runner.train_dataloader.dataset)
    passes = 'once' if rounds == 1 else f'{rounds:,.3g} times'
    samples = f'{batch} {_noun(runner.train_dataloader)}{"s" * (batch != 1)}'
    line = f'Steps: {runner.max_iters:,}, each of {samples}, {passes} through the data'
    return line + (f', from step {runner.iter + 1:,} on' if runner.iter else '')


def _short(path: str) -> str:
    """Return a path relative to the current folder, if it lies below it."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path
