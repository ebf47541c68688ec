"""Two folders of one's own in place of a config's data sets; options of the command line are in tests/cli."""

import pytest

from vlfusion.config import load_config
from vlfusion.data.from_config import pairs_of
from vlfusion.data.own_folders import hold_out, use_folders
from vlfusion.errors import ConfigError
from vlfusion.testing.toys import draw_pairs


def test_every_data_set_reads_the_folders(tmp_path):
    draw_pairs(tmp_path / 'mine', ['a', 'b'], size=(8, 8))
    config = use_folders(load_config('film/film_ivf_sample'), str(tmp_path / 'mine/ir'), str(tmp_path / 'mine/vi'),
                         task='mef', modality_a='dark', reading=dict(range_b='minmax'))
    assert config.task == 'mef'
    pairs = pairs_of(config, ['train'])
    assert pairs == pairs_of(config, ['test']) and [pair.name for pair in pairs] == ['a', 'b']
    assert (pairs[0].modality_a, str(pairs[0].reading_b)) == ('dark', 'range=minmax')


def test_published_features_do_not_fit(tmp_path):
    with pytest.raises(ConfigError, match='no language section'):
        use_folders(load_config('film/film_ivf'), 'a', 'b')


@pytest.mark.parametrize(('count', 'held_out'), [(9, []), (10, ['p09']), (25, ['p09', 'p19'])])
def test_training_holds_every_tenth_pair_out(count, held_out, tmp_path):
    names = [f'p{i:02}' for i in range(count)]
    draw_pairs(tmp_path, names, size=(4, 4))
    config = use_folders(load_config('film/film_ivf_sample'), str(tmp_path / 'ir'), str(tmp_path / 'vi'))
    hold_out(config)
    if held_out:
        assert config.train_dataloader.dataset.names == sorted({*names} - {*held_out})
        assert config.val_dataloader.dataset.names == held_out
    else:
        assert config.val_dataloader is config.val_cfg is config.val_evaluator is None
