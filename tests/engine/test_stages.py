"""Training and testing from Python; the command line's own tests are in tests/cli/test_verbs.py."""

from pathlib import Path

import pytest

from vlfusion.engine import stages
from vlfusion.errors import CheckpointError, ConfigError


@pytest.mark.slow
def test_train_then_test_leave_the_config_as_it_was(toy):
    config = toy(**{'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2, 'model.backbone.dim': 8})
    before = config.to_dict()
    runner = stages.train(config)
    assert runner.iter == 2
    checkpoint = toy.work / 'iter_2.pth'
    tested = stages.test(config, checkpoint, protocol='plain')
    assert tested.out == toy.work / 'test_plain' and tested.tables == [tested.out / 'metrics.csv']
    assert [row['name'] for row in tested.rows] == [f'p{i}' for i in range(5)]
    assert len(list(Path(tested.out / 'colour').glob('*.png'))) == 5
    assert config.to_dict() == before


def test_weights_are_wanted(toy):
    with pytest.raises(ConfigError, match='weights'):
        stages.test(toy(**{'model.backbone.dim': 8}))
    with pytest.raises(CheckpointError, match='No checkpoint'):
        stages.test(toy(), 'no.pth')
