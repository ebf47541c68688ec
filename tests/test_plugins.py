"""Third-party packages, really installed into a folder of the test's own and used through the command line."""

import os
import subprocess
import sys
import textwrap

import pytest

GOOD = """
    from torch import nn
    from vlfusion.registry import BACKBONES

    @BACKBONES.register_module()
    class MeanNet(nn.Module):
        def forward(self, source_a, source_b, text=None, text_mask=None):
            return (source_a + source_b) / 2

    @BACKBONES.register_module(name='FILM')
    class Impostor(nn.Module):
        pass
"""
BROKEN = """
    import vlfusion.losses
    from vlfusion.registry import BACKBONES

    @BACKBONES.register_module()
    class HalfBorn:
        pass

    raise RuntimeError('no such accelerator')
"""


def _make_package(folder, name, source):
    package = folder / name
    package.mkdir(parents=True)
    (package / '__init__.py').write_text(textwrap.dedent(source))
    (folder / 'setup.cfg').write_text(textwrap.dedent(f"""
        [metadata]
        name = {name.replace('_', '-')}
        version = 1.2.3
        [options]
        packages = {name}
        [options.entry_points]
        vlfusion.plugins =
            {name} = {name}
    """))
    (folder / 'pyproject.toml').write_text('[build-system]\nrequires = ["setuptools"]\n'
                                           'build-backend = "setuptools.build_meta"\n')
    return folder


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """A folder of installed packages: a good plugin and one that raises when it is imported."""
    folder = tmp_path_factory.mktemp('plugins')
    target = folder / 'site'
    packages = [_make_package(folder / name, name, source)
                for name, source in (('third_party_mean', GOOD), ('third_party_broken', BROKEN))]
    subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', '--no-index', '--no-deps',
                    '--no-build-isolation', '--target', target, *packages], check=True)
    return target


def _python(site, code, **env):
    return subprocess.run([sys.executable, '-W', 'ignore', '-c', textwrap.dedent(code)], capture_output=True, text=True,
                          env={**os.environ, 'PYTHONPATH': str(site), **env})


@pytest.mark.slow
def test_list_names_the_plugin_and_survives_the_broken_one(site):
    done = _python(site, "from vlfusion.cli import main; main(['list', 'backbone'])")
    assert done.returncode == 0, done.stderr
    assert 'third_party_mean.MeanNet' in done.stdout and 'third-party-mean 1.2.3' in done.stdout
    assert 'third_party_broken: failed' in done.stdout and 'no such accelerator' in done.stdout
    assert 'HalfBorn' not in done.stdout


EVIL = {
    'evil_exit': ('import sys; sys.exit(7)', 'it called sys.exit(7)'),
    'evil_keys': ('raise KeyboardInterrupt', 'KeyboardInterrupt'),
    'evil_base': ("raise type('Odd', (BaseException,), {})('odd')", 'Odd: odd'),
    'evil_none': ("from vlfusion.registry import LOSSES; LOSSES._module_dict['evil_none.L'] = None",
                  'it registers None as the loss evil_none.L'),
    'evil_method': ('import vlfusion.registry as r; r.Registry._register_module = lambda *_, **__: None',
                    'it replaces Registry._register_module'),
    'evil_root': ('import mmengine; mmengine.registry.Registry.build = None', 'it replaces Registry.build'),
    'evil_get': ('from vlfusion.registry import BACKBONES; BACKBONES.get = lambda *_: None',
                 "it replaces the method get of the registry 'backbone'"),
}


@pytest.mark.slow
def test_whatever_a_plugin_does_it_is_one_that_failed(site, tmp_path):
    for name, (source, _) in EVIL.items():
        (tmp_path / f'{name}.py').write_text(source)
        about = tmp_path / f'{name}-1.dist-info'
        about.mkdir()
        (about / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: 1\n')
        (about / 'entry_points.txt').write_text(f'[vlfusion.plugins]\n{name} = {name}\n')
    path = f'{tmp_path}{os.pathsep}{site}'
    listed = _python(path, "from vlfusion.cli import main; main(['list', 'backbone'])")
    assert listed.returncode == 0 and 'third_party_mean.MeanNet' in listed.stdout, listed.stderr
    checked = _python(path, f"""
        from vlfusion.cli import main
        for name in {list(EVIL)}:
            assert main(['check-plugin', name]) == 2
    """)
    assert checked.returncode == 0 and 'Traceback' not in checked.stderr, checked.stderr
    words = ' '.join(listed.stdout.split())
    for name, (_, problem) in EVIL.items():
        assert f'{name}: failed' in words and problem in words and problem in checked.stderr, name


@pytest.mark.slow
def test_plugin_is_usable_in_a_config(site):
    done = _python(site, """
        import torch
        from vlfusion.registry import MODELS
        for name in ('MeanNet', 'third_party_mean.MeanNet'):
            model = MODELS.build(dict(type='FusionModel', backbone=dict(type=name)))
            assert model(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)).eq(0.5).all()
    """)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_plugin_never_shadows_a_core_name(site):
    done = _python(site, """
        from vlfusion import plugins
        from vlfusion.registry import BACKBONES, snapshot
        plugins.load_all(snapshot)
        assert BACKBONES.get('FILM').__module__ == 'vlfusion.models.backbones.film'
        assert BACKBONES.get('third_party_mean.FILM').__name__ == 'Impostor'
    """)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize('name', ['HalfBorn', 'third_party_broken.HalfBorn'])
def test_asking_for_a_broken_plugins_name_tells_which_and_why(site, name):
    done = _python(site, f"from vlfusion.registry import BACKBONES; BACKBONES.get('{name}')")
    assert done.returncode != 0
    assert 'third-party-broken 1.2.3' in done.stderr and 'no such accelerator' in done.stderr


@pytest.mark.slow
def test_a_broken_plugin_takes_no_core_name_along(site):
    done = _python(site, """
        from vlfusion import plugins
        from vlfusion.registry import LOSSES, snapshot
        plugins.load_all(snapshot)
        LOSSES.get('MaxIntensityLoss')
    """)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_core_name_imports_no_plugin(site):
    done = _python(site, """
        import sys
        from vlfusion.registry import BACKBONES
        BACKBONES.get('FILM')
        assert not [name for name in sys.modules if name.startswith('third_party')]
    """)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_switch(site):
    code = "from vlfusion.registry import BACKBONES; BACKBONES.get('third_party_mean.MeanNet')"
    assert _python(site, code, VLFUSION_PLUGINS='third_party_mean').returncode == 0
    refused = _python(site, code, VLFUSION_PLUGINS='')
    assert refused.returncode != 0 and "disabled by VLFUSION_PLUGINS=''" in refused.stderr


@pytest.mark.slow
def test_research_code_on_the_path_through_custom_imports(site, tmp_path):
    source = textwrap.dedent(GOOD).replace('MeanNet', 'MyNet').partition('@BACKBONES.register_module(name=')[0]
    (tmp_path / 'my_method.py').write_text(source)
    (tmp_path / 'config.py').write_text("custom_imports = dict(imports=['my_method'])\n"
                                        "model = dict(type='FusionModel', backbone=dict(type='MyNet'))\n")
    done = _python(tmp_path, f"""
        from vlfusion.config import load_config
        from vlfusion.registry import MODELS
        config = load_config(r'{tmp_path / 'config.py'}')
        assert type(MODELS.build(config.model).backbone).__module__ == 'my_method'
    """)
    assert done.returncode == 0, done.stderr
