"""Configs are read as data in three ways of writing."""

import json
import logging

import pytest
from mmengine.config import Config

import vlfusion.config
from vlfusion.config import load_config
from vlfusion.errors import ConfigError


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file into the current folder and return its name."""
    monkeypatch.chdir(tmp_path)

    def write(name, content):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name
    return write


@pytest.mark.slow
@pytest.mark.parametrize(('name', 'content', 'problem'), [
    ('x.py', "_base_ = 'x.py'", 'refers to itself'), ('x.py', 'x = 1 / 0', 'ZeroDivisionError'),
    ('x.py', 'import sys; sys.exit(3)', r'it called sys.exit\(3\) \(x.py, line 1\)'),
    ('x.py', 'raise KeyboardInterrupt', 'KeyboardInterrupt'), ('x.py', b"task = '\xe9'", 'UnicodeDecodeError'),
    ('x.py', "_base_ = 'y.py'", 'y.py'), ('x.py', 'task = ', 'SyntaxError'), ('x.py', b'\0', 'null bytes'),
    ('x.py', "custom_imports = dict(imports=['no_such_module'])", 'no_such_module'),
    ('x.json', '{"task": ', 'JSONDecodeError'), ('x.json', '[1]', 'x.json'), ('x.yaml', 'a: [', 'x.yaml'),
    ('x.yaml', 'a: !!python/object/apply:os.mkdir ["owned"]', "tag 'tag:yaml.org,2002:python/object/apply:os.mkdir'"),
    ('x.yml', '!!python/object/new:os.mkdir ["owned"]', 'python/object/new'),
    ('x.txt', '', 'not a config'), ('x', '', 'not a config'), ('x.pth', '', 'not a config'),
])
def test_a_file_that_is_no_config(write, name, content, problem, tmp_path):
    with pytest.raises(ConfigError, match=problem) as caught:
        load_config(write(name, content))
    assert name in caught.value.problem and '\n' not in caught.value.problem and caught.value.remedy
    assert not (tmp_path / 'owned').exists()


def test_a_base_in_yaml_is_read_as_data_too(write, tmp_path):
    write('base.yaml', 'a: !!python/object/apply:os.mkdir ["owned"]')
    with pytest.raises(ConfigError, match='python/object/apply'):
        load_config(write('x.py', "_base_ = 'base.yaml'"))
    assert not (tmp_path / 'owned').exists()
    write('base.yaml', 'task: mif')
    assert load_config('x.py').task == 'mif'


@pytest.mark.parametrize(('name', 'content'), [
    ('x.py', "task = 'ivf'"), ('x.json', json.dumps(dict(task='ivf'))), ('x.yaml', 'task: ivf')])
def test_three_ways_to_write_a_config(write, name, content):
    assert load_config(write(name, content)).task == 'ivf'


@pytest.mark.parametrize(('key', 'meant'), [
    ('modle', 'model'), ('work_dri', 'work_dir'), ('optim_wraper', 'optim_wrapper'), ('languag', 'language'),
    ('train_dataloder', 'train_dataloader'), ('tasks', 'task'), ('custom_hook', 'custom_hooks')])
@pytest.mark.parametrize('name', ['x.py', 'x.json'])
def test_a_key_that_nothing_reads(write, name, key, meant):
    with pytest.raises(ConfigError, match=f"x.* sets '{key}', which nothing reads") as caught:
        load_config(write(name, f'{key} = {{}}' if name == 'x.py' else json.dumps({key: {}})))
    assert f'Did you mean {meant}?' in caught.value.remedy


def test_helper_variables_have_any_name(write):
    write('base.py', "tasks = ['ivf', 'mif']\nmodels = 3\n_modle = 4\ntask = tasks[0]\n")
    config = load_config(write('x.py', "_base_ = './base.py'\nmodel = dict(depth=_base_.models)\n"
                                       'tsk = "plain"\nprotocol = tsk\n'))
    assert config.model.depth == 3 and config.protocol == 'plain'


def test_a_key_that_is_near_to_none_may_be_a_helper_of_a_dumped_config(write):
    assert load_config(write('x.py', 'EPOCH = 5')).EPOCH == 5


@pytest.mark.parametrize(('asked', 'meant'), [('confg.py', 'config.py'), ('film/film_mde.py', 'film/film_med.py'),
                                              ('configs/film_med.py', 'configs/film/film_med.py')])
def test_a_misspelt_file(write, tmp_path, asked, meant):
    for folder in ('film', 'configs/film'):
        (tmp_path / folder).mkdir(parents=True)
    for name in ('config.py', 'film/film_med.py', 'configs/film/film_med.py'):
        write(name, '')
    with pytest.raises(ConfigError, match='No config at') as caught:
        load_config(asked)
    assert f'Did you mean {meant}?' in caught.value.remedy


def test_values_of_the_environment_are_not_shown(tmp_path, monkeypatch, capfd, caplog):
    (tmp_path / 'c.py').write_text("language = dict(store='{{$PRIVATE:nothing}}')")
    monkeypatch.setenv('PRIVATE', 'sk-word-of-the-user')
    caplog.set_level('INFO')
    assert load_config(tmp_path / 'c.py').language.store == 'sk-word-of-the-user'
    assert 'sk-word' not in capfd.readouterr().out + caplog.text
    assert logging.root.manager.disable == logging.NOTSET


def test_a_config_is_formatted_once(monkeypatch):
    texts, format_code = [], vlfusion.config._format

    def count(text, **options):
        texts.append(text)
        return format_code(text, **options)
    monkeypatch.setattr(vlfusion.config, '_format', count)
    vlfusion.config._formatted.cache_clear()
    config = Config(dict(model=dict(type='FILM', text_dim=1)))
    first, second = config.pretty_text, config.dump()
    assert first == second and len(texts) == 1
    config.model.text_dim = 2
    assert 'text_dim=2' in config.pretty_text and len(texts) == 2
