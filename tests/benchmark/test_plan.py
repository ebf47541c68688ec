"""Configs of comparisons: what they may say, and what those that ship name."""

import pytest
from comparing import toy, write_config

from vlfusion.benchmark.methods import ModelMethod
from vlfusion.benchmark.plan import SetPlan, load_plan
from vlfusion.benchmark.run import Run
from vlfusion.config import load_config
from vlfusion.errors import ConfigError, DataError, UnknownNameError
from vlfusion.registry import BACKBONES
from vlfusion.zoo.entries import get_model


@pytest.mark.parametrize(('change', 'error', 'said'), [
    (dict(metricz=['EN']), ConfigError, "sets 'metricz'.*Did you mean metrics"),
    (dict(metrics=['EM']), UnknownNameError, 'Did you mean'),
    (dict(controls=['min']), ConfigError, "Unknown control 'min'"),
    (dict(correction='bonf'), ConfigError, "Unknown correction 'bonf'"),
    (dict(methods={}), ConfigError, 'has no methods'),
    (dict(methods=dict(X=dict(fusd='a'))), ConfigError, "has no key 'fusd'.*Did you mean fused"),
    (dict(methods=dict(X=dict())), ConfigError, 'none of checkpoint'),
    (dict(methods={'control: mean': toy('ToyMean')}), ConfigError, 'like that of a control image'),
    (dict(methods=dict(X=dict(fused={}))), ConfigError, 'has no folder'),
    (dict(methods=dict(X=toy('ToyMean') | dict(config='a.py'))), ConfigError, 'both a model and a checkpoint'),
    (dict(methods=dict(X=dict(printed=dict(Toy=dict(En=7.5))))), UnknownNameError, 'Did you mean EN'),
    (dict(methods=dict(X=dict(printed=dict(Toy='film/FILM')))), ConfigError, 'is not the name of a row of a paper'),
    (dict(metrics='EN'), ConfigError, "metrics='EN'.*a list of str"),
    (dict(metrics=[]), ConfigError, 'has no metric'),
    (dict(seeds=3), ConfigError, 'seeds=3.*a list of int'), (dict(seeds=['a']), ConfigError, "seeds=.'a'.*list of int"),
    (dict(seeds=[-1]), ConfigError, 'seeds.0. is -1'), (dict(seeds=[]), ConfigError, 'seeds is empty'),
    (dict(alpha='0.05'), ConfigError, "alpha='0.05'.*float"), (dict(alpha=7), ConfigError, 'alpha is 7'),
    (dict(title=3), ConfigError, 'title=3.*Give str'),
    (dict(protocol=dict(film=1)), ConfigError, 'protocol='), (dict(methods=['X']), ConfigError, 'methods='),
    (dict(methods=dict(X=3)), ConfigError, 'X is 3'), (dict(datasets=['X']), ConfigError, 'datasets='),
    (dict(methods=dict(X=dict(checkpoint=3))), ConfigError, 'checkpoint=3'),
    (dict(dataset=dict(limit=-1)), ConfigError, 'datasets.Toy.limit is -1'),
    (dict(dataset=dict(limit='two')), ConfigError, "limit='two'.*int or None"),
    (dict(dataset=dict(by_subset='yes')), ConfigError, 'by_subset='),
    (dict(dataset=dict(texts=dict(a='no/{name}.txt'))), DataError, 'has no text a for any pair'),
    (dict(methods=dict(X=dict(printed=dict(TNO=dict(EN=1))))), ConfigError, "row for 'TNO'"),
    (dict(methods=dict(X=dict(fused=dict(TNO='a')))), ConfigError, "names the data set 'TNO'"),
    (dict(dataset=dict(only='x*')), DataError, 'no pair whose name matches'),
])
def test_configs_that_cannot_be(compare, tmp_path, change, error, said):
    keys = dict(methods={'Mean': toy('ToyMean')}) | change
    write_config(tmp_path / 'b.py', keys.pop('methods'), **keys)
    with pytest.raises(error, match=f'(?s){said}'):
        Run(load_plan('b.py', out='out')).check()


@pytest.mark.parametrize('task', ['ivf', 'mif', 'mef', 'mff'])
def test_the_configs_name_data_sets_and_models_that_there_are(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # any folder will do
    plan = load_plan(task)
    for method in plan.methods:
        [name] = method.checkpoints
        entry = get_model(name)
        assert task in entry.tasks or entry.source is None, name
        assert BACKBONES.get(entry.method.backbone)
    assert len(plan.methods) >= 14 and all(plan.printed.values()), 'each has a row of a paper below'


def test_the_config_of_text_guided_methods_names_models_and_configs_that_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = load_plan('text')
    for method in plan.methods:
        [checkpoint] = method.checkpoints
        if method.config:
            assert load_config(method.config).model.backbone.type in BACKBONES and checkpoint.startswith('weights/')
        else:
            assert set_tasks(plan, method) <= set(get_model(checkpoint).tasks), checkpoint
    assert len(plan.methods) >= 14 and {set_plan.task.name for set_plan in plan.datasets} == {'ivf', 'mif'}


def set_tasks(plan, method):
    return {set_plan.task.name for set_plan in plan.datasets if set_plan.name in method.datasets}


@pytest.mark.parametrize(('name', 'said'), [
    ('ivv', "no comparison 'ivv'.*Did you mean ivf"), ('benchmark/mib', 'Did you mean benchmark/mif'),
    ('nothing_like_it', 'No config at')])
def test_a_misspelt_comparison(name, said):
    with pytest.raises(ConfigError, match=f'(?s){said}'):
        load_plan(name)


def test_one_text_of_a_data_set_replaces_the_descriptions_of_a_method_but_no_instruction():
    given = dict(texts='words/{name}.txt')
    set_plan = SetPlan('Toy', {}, overrides=dict(text_source=given))

    def source(own):
        method = ModelMethod('m', model=dict(type='FusionModel'), overrides=dict(text_source=own))
        return set_plan.experiment_of(method)['text_source']

    described, fixed = dict(stream='pair/paragraph'), dict(fixed='Fuse.')
    assert source(described) == source(fixed) == given
    assert source(dict(text_a=described, text_b=described, task=fixed)) == dict(text_a=given, text_b=given, task=fixed)
    assert 'text_source' not in set_plan.experiment_of(ModelMethod('m', config='classical/laplacian_ivf'))
