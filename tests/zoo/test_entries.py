"""Facts about models: what a package may say, every kind of fault, and names that clash."""

import pytest
from naming import FACTS, install_models

from vlfusion.cli import main
from vlfusion.errors import ConfigError, PluginError, UnknownNameError
from vlfusion.zoo import entries
from vlfusion.zoo.entries import (
    OnHub,
    Packaged,
    Pinned,
    advice_on,
    find_model,
    find_models,
    get_model,
    read_models,
    similar_model,
)

METHOD = '[methods.Conv]\nbackbone = "toys.Conv"\n'
COMMIT, BLOB = 'c' * 40, 'b' * 40
FILES = 'source = {{repo = "a/b", commit = "{}", files = [{}]}}'


@pytest.fixture
def read(tmp_path):
    """A function that reads the facts in a text."""
    def read(text):
        (tmp_path / 'models.toml').write_text(text)
        return read_models(tmp_path / 'models.toml', 'toys')
    return read


def test_facts_of_a_method_hold_for_its_models_unless_they_say_otherwise(read):
    small, large = read('[methods.Conv]\nbackbone = "toys.Conv"\nparameters = 10\nlicence = "MIT"\ntask = "ivf"\n'
                        f'source = {{repo = "a/b", commit = "{COMMIT}"}}\n'
                        f'[models.small]\nsource = {{files = [{{path = "x/small.pth", blob = "{BLOB}"}}]}}\n'
                        '[models.large]\nparameters = 90\ntask = ["mif", "mff"]\nlicence = "none stated"\n'
                        'arguments = {width = 3}\nchroma = "visible"\n'
                        f'source = {{files = [{{path = "large.pth", blob = "{BLOB}", size = 5}}]}}')
    assert (small.method.parameters, small.licence, small.tasks) == (10, 'MIT', ('ivf',))
    assert (large.method.parameters, large.licence, large.tasks) == (90, 'none stated', ('mif', 'mff'))
    assert isinstance(large.source, Pinned) and large.source.files[0].size == 5
    assert small.source.files[0].address.endswith(f'a/b/{COMMIT}/x/small.pth')
    assert small.scoped == 'toys.small' and small.experiment == dict(
        task='ivf', protocol='plain', model=dict(type='FusionModel', backbone=dict(type='toys.Conv')))
    assert large.experiment == dict(
        task='mif', protocol='plain', chroma='visible',
        model=dict(type='FusionModel', backbone=dict(type='toys.Conv', width=3)))


def test_sources(read, tmp_path):
    packed, hub, none = read(f'{METHOD}[models.packed]\ntask = "ivf"\nsource = {{file = "w.safetensors"}}\n'
                             '[models.hub]\ntask = "ivf"\nsource = {hub = "hf://anna/conv@v1"}\n'
                             '[models.none]\ntask = "ivf"')
    assert packed.source == Packaged(tmp_path / 'w.safetensors') and str(packed.source) == 'in the package'
    assert hub.source == OnHub('hf://anna/conv@v1') and none.source is None


@pytest.mark.parametrize(('text', 'said'), [
    ('models = ', 'cannot be read'), ('[models.x', 'cannot be read'),
    ('modles = {}', "unknown key 'modles'.*Did you mean"),
    ('models = 3', 'models is 3'), ('methods = []', r'methods is \[\]'),
    ('[methods]\nConv = 3', 'methods.Conv is 3.*Give a table'),
    ('[methods.Conv]\n', 'methods.Conv lacks backbone'),
    (METHOD + 'papr = "x"', "methods.Conv has an unknown key 'papr'.*Did you mean paper"),
    (METHOD + 'parameters = "many"', "methods.Conv.parameters is 'many'.*int"),
    ('[models.x]\ntask = "ivf"', "names the method '', which"),
    (METHOD + '[models.x]\nmethod = "Cnov"\ntask = "ivf"', "names the method 'Cnov'.*Did you mean Conv"),
    (METHOD + '[methods.B]\nbackbone = "b"\n[models.x]\ntask = "ivf"', "names the method ''"),
    (METHOD + '[models]\nx = "y"', "models.x is 'y'"),
    (METHOD + '[models.x]', 'models.x has task = None.*Give one or several of'),
    (METHOD + '[models.x]\ntask = "ivv"', "has task = 'ivv'"),
    (METHOD + '[models.x]\ntask = ["ivf", "xyz"]', 'has task ='),
    (METHOD + '[models.x]\ntask = ["ivf", "mif"]\nsource = {file = "w.safetensors"}', 'its checkpoint is of one task'),
    (METHOD + '[models.x]\ntask = 3', 'models.x.task is 3'),
    (METHOD + '[models.x]\ntask = []', 'has task = '),
    (METHOD + '[models.X]\ntask = "ivf"', 'models.X is no valid name'),
    (METHOD + '[models."x.pth"]\ntask = "ivf"', 'no valid name'), (METHOD + '[models."a--b"]', 'no valid name'),
    (METHOD + '[models."../x"]', 'no valid name'), (METHOD + '[models."x y"]', 'no valid name'),
    (METHOD + '[models.x]\ntask = "ivf"\nlicense = "MIT"', "unknown key 'license'.*Did you mean licence"),
    (METHOD + '[models.x]\ntask = "ivf"\narguments = "a"', "models.x.arguments is 'a'"),
    (METHOD + '[models.x]\ntask = "ivf"\nsource = "x.pth"', "models.x.source is 'x.pth'"),
    (METHOD + '[models.x]\ntask = "ivf"\nsource = {path = "x.pth"}', r'models.x.source is .*Give \{file'),
    (METHOD + '[models.x]\ntask = "ivf"\nsource = {file = "a", hub = "b"}', 'models.x.source is'),
    (METHOD + '[models.x]\ntask = "ivf"\n' + FILES.format(COMMIT, ''), 'models.x.source is'),
    (METHOD + '[models.x]\ntask = "ivf"\n' + FILES.format(COMMIT, '{path = "p"}'), 'source.files lacks blob'),
    (METHOD + '[models.x]\ntask = "ivf"\n' + FILES.format(COMMIT, '{path = "p", blob = 3}'), 'source.files.blob is 3'),
    (METHOD + '[models.x]\ntask = "ivf"\n' + FILES.format(COMMIT, '{path = "p", blob = "1", sise = 3}'),
     'Did you mean size'),
    (METHOD + '[models.x]\ntask = "ivf"\n' + FILES.format('main', f'{{path = "p", blob = "{BLOB}"}}'),
     "models.x.source.commit is 'main'.*40 digits"),
    (METHOD + '[models.x]\ntask = "ivf"\n' + FILES.format(COMMIT, '{path = "p", blob = "../../../../../../p"}'),
     'models.x.source.files.blob is'),
    *((METHOD + f'[models.x]\ntask = "ivf"\nsource = {{file = "{file}"}}', 'models.x.source is')
      for file in ('../w.safetensors', '/w.safetensors', 'a/../../w.safetensors', 'w.pth', '')),
])
def test_faulty_facts_are_named(read, tmp_path, text, said):
    with pytest.raises(ConfigError, match=f'(?s){said}') as caught:
        read(text)
    assert str(tmp_path / 'models.toml') in caught.value.problem and caught.value.remedy


def test_facts_that_are_not_text(tmp_path):
    (tmp_path / 'models.toml').write_bytes(b'\xff\xfe')
    with pytest.raises(ConfigError, match='cannot be read'):
        read_models(tmp_path / 'models.toml', 'toys')
    with pytest.raises(ConfigError, match='cannot be read'):
        read_models(tmp_path, 'toys')


def test_a_faulty_plugin_hides_no_other(install, capsys):
    good = install_models(install, 'sound-').name
    bad = 'faulty_entries'
    install(bad, **{'__init__.py': 'raise RuntimeError("facts are read without import")',
                    'models.toml': FACTS.format(package=bad, prefix='bad-').replace('backbone', 'bakcbone')})
    assert {'sound-packed', 'sound-mean', 'film-ivf-authors'} <= find_models().keys()
    assert find_model('sound-mean').package == good and find_model('bad-mean') is None
    faults = entries.FACTS.faults()
    assert faults.keys() == {bad} and "unknown key 'bakcbone'" in faults[bad]
    assert main(['models']) == 0
    said = ' '.join(capsys.readouterr().out.split())
    assert 'sound-packed' in said and f'models.toml of {bad} cannot be read.' in said and 'bakcbone' in said
    for name in ('bad-mean', 'sound-pakced'):
        with pytest.raises(UnknownNameError, match=f'(?s)no model .{name}.*models.toml of {bad} cannot be read'):
            get_model(name)
        assert main(['fuse', name, 'a', 'b', '-o', 'c']) == 2
    with pytest.raises(PluginError, match='bakcbone'):
        find_model(f'{bad}.bad-mean')


def test_plugins_with_one_name(install):
    one, two = (install_models(install, 'twin-').name for _ in range(2))
    assert {f'{one}.twin-mean', f'{two}.twin-mean'} <= find_models().keys() and 'twin-mean' not in find_models()
    for name in ('twin-mean', 'twin-mean-mff'):
        with pytest.raises(UnknownNameError, match=rf'ambiguous.*\n.*{one}\.twin-mean, {two}\.twin-mean'):
            find_model(name)
        assert get_model(f'{two}.{name}').package == two
    assert find_model('vlfusion.twin-mean') is None
    assert get_model('vlfusion.film-ivf-authors').package == 'vlfusion'


@pytest.mark.parametrize(('name', 'near'), [
    ('film-ivf-author', 'film-ivf-authors'), ('FILM_IVF_authors', 'film-ivf-authors'), ('film/film-ivf-authors', ''),
    ('zzzz', '')])
def test_near_names(name, near):
    assert similar_model(name) == (f'Did you mean {near}? ' if near else '')
    assert advice_on(name).endswith('`vlfusion models` shows all.')


def test_a_name_of_a_missing_plugin_is_no_misspelt_one(monkeypatch):
    monkeypatch.setattr('vlfusion.plugins.model_provider', lambda _: 'film-ivf-author comes with another plugin.')
    assert 'Did you mean' not in advice_on('film-ivf-author') and 'Did you mean' in advice_on('film-ivf-autor')


@pytest.mark.parametrize('name', ['film-ivf-authors.pth', 'Film-ivf-authors', 'a/film-ivf-authors', '', '.', '..', '-'])
def test_no_path_is_a_name(name):
    assert find_model(name) is None


def test_a_disabled_plugin_brings_no_models(install, monkeypatch):
    install_models(install, 'off-')
    assert 'off-mean' in find_models()
    monkeypatch.setenv('VLFUSION_PLUGINS', '')
    from vlfusion import plugins
    plugins.found.cache_clear()
    assert 'off-mean' not in find_models() and 'film-ivf-authors' in find_models()
