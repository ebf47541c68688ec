"""Configs of trained models: where a verb needs a config, a model is enough if the data are two folders."""

import os
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config

from vlfusion.config import check_form, config_from, load_config, override
from vlfusion.engine.checkpoints import read_experiment
from vlfusion.engine.named import EXPERIMENT_KEYS
from vlfusion.engine.trust import believed_parts
from vlfusion.errors import ConfigError
from vlfusion.zoo.hub import is_hub_address, parse
from vlfusion.zoo.names import entry_of

#: Steps of a fine-tuning, and its share of the learning rate of the config that trained the model.
STEPS, SLOWER = 200, 0.1


def config_of(model: str | os.PathLike, cfg_options: Mapping | None = None, *, own_words: bool = True,
              trust: bool = False) -> Config:
    """Return a config that tests a trained model: its own experiment, with the defaults that all experiments share.

    Its data set has no folders. `vlfusion.use_folders` gives it some.

        config = vlfusion.use_folders(vlfusion.config_of('film-mif'), 'my/mri', 'my/pet')
        vlfusion.describe(config)
        vlfusion.test(config, 'film-mif')

    Args:
        model: checkpoint, name, or address on the hub, as for `vlfusion.engine.named.locate`.
        cfg_options: new values by dotted key, as `load_config` takes them.
        own_words: False if other words replace the captioners, LLM and prompt of the model's own.
        trust: True to accept everything that a checkpoint asks for, see `vlfusion.engine.checkpoints.read_experiment`.

    Raises:
        ConfigError: an option is unknown.
        VLFusionError: as for `read_experiment`; or the checkpoint would describe images in a way that is not trusted.
    """
    defaults = load_config('vlfusion::_base_/runtime.py').to_dict()
    test_dataloader = dict(batch_size=1, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=False),
                           dataset=dict(type='PairDataset', pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
    experiment = _experiment(model, own_words, trust)
    return _named({**defaults, **experiment, 'test_dataloader': test_dataloader}, _stem(model), cfg_options)


def tuning_config(model: str | os.PathLike, cfg_options: Mapping | None = None, *, own_words: bool = True) -> Config:
    """Return a config that trains a named model further: the config that trained it, with a short schedule.

    Args:
        model: the name.
        cfg_options: new values by dotted key. They replace the short schedule too.
        own_words: as for `config_of`.

    Raises:
        ConfigError: no config is known that trains the model, or an option is unknown.
    """
    entry = entry_of(model)
    if entry is None or not entry.config:
        raise ConfigError(f'{os.fspath(model)} is a model, and no config is known that trains it.',
                          f'Give a config whose network is the same, with --cfg-options load_from={os.fspath(model)}.')
    config, experiment = load_config(entry.config).to_dict(), _experiment(model, own_words, trust=False)
    config['model']['backbone'] = experiment.pop('model')['backbone']
    config['train_cfg'] |= dict(max_iters=STEPS, val_interval=STEPS)
    config['optim_wrapper']['optimizer']['lr'] *= SLOWER
    tuning = dict(param_scheduler=[dict(type='ConstantLR', by_epoch=False, factor=1.0)], load_from=os.fspath(model))
    return _named({**config, **experiment, **tuning}, f'{_stem(model)}_tuned', cfg_options)


def _named(config: Mapping, stem: str, cfg_options: Mapping | None) -> Config:
    """Return a config from plain data as if it was read from a file `STEM.py`, with overrides."""
    config = config_from(config, f'{stem}.py')
    override(config, cfg_options or {})
    check_form(config)
    return config


def _experiment(model: str | os.PathLike, own_words: bool, trust: bool) -> dict:
    """Return the experiment of a model as plain data, with as much of its `language` section as is used."""
    experiment = read_experiment(model, trust)
    if own_words and 'language_error' in experiment:
        raise experiment['language_error']
    language = believed_parts(experiment)
    return {**{key: experiment[key] for key in EXPERIMENT_KEYS if key in experiment},
            **(dict(language=language) if language else {})}


def _stem(model: str | os.PathLike) -> str:
    """Return the name of a model as that of a file; a checkpoint is called after its folder too."""
    name = os.fspath(model)
    if is_hub_address(name):
        return parse(name).repo.rpartition('/')[2]
    path = Path(name)
    return f'{path.parent.name}_{path.stem}' if path.parent.name else path.stem if path.is_file() else name
