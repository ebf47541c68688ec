"""vlfusion and two plugins, installed where there is no checkout: they work, and one plugin can be taken away."""

import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FUSE = """
import torch
from vlfusion.registry import MODELS
from vlfusion.engine.checkpoints import load_model
import vlfusion, vlfusion_cddfuse
model = dict(type='FusionModel', backbone=dict(type='CDDFuse', dim=16, blocks=1))
state = MODELS.build(model).state_dict()
torch.save(dict(state_dict=state, meta=dict(vlfusion=dict(task='ivf', model=model))), 'x.pth')
print(vlfusion.__file__, vlfusion_cddfuse.__file__)
"""


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """Runs commands in an environment of its own, in which only the packages of other projects come from this one."""
    folder = tmp_path_factory.mktemp('installation')
    for source in ('.', 'plugins/cddfuse', 'plugins/hello_fusion'):
        target = folder / 'sources' / source
        target.mkdir(parents=True, exist_ok=True)
        for path in (ROOT / source).iterdir():  # building writes beside the sources
            if path.name in ('setup.cfg', 'setup.py', 'pyproject.toml', 'README.md', 'LICENSE'):
                shutil.copy(path, target)
            elif path.name == 'configs' or (path.name.startswith('vlfusion') and path.suffix != '.egg-info'):
                shutil.copytree(path, target / path.name, ignore=shutil.ignore_patterns('__pycache__'))
    environment = folder / 'environment'
    venv.create(environment)
    [packages] = environment.glob('lib/python*/site-packages')
    # A plain path: what is installed in editable mode there stays out of sight.
    (packages / 'others.pth').write_text(f'{site.getsitepackages()[0]}\n')
    settings = {**os.environ, 'PYTHONPATH': '', 'VLFUSION_PLUGINS': 'cddfuse,hello', 'PIP_NO_INDEX': '1',
                'PIP_NO_DEPS': '1', 'PIP_NO_BUILD_ISOLATION': '0', 'PIP_DISABLE_PIP_VERSION_CHECK': '1'}

    def run(*command):
        done = subprocess.run([environment / 'bin/python', '-W', 'ignore', *command], cwd=folder, text=True,
                              env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout
    sources = [str(folder / 'sources' / source) for source in ('.', 'plugins/cddfuse', 'plugins/hello_fusion')]
    code, said = run('-m', 'pip', 'install', '--quiet', *sources)
    assert code == 0, said
    shutil.rmtree(folder / 'sources')
    return run


def vlfusion(*arguments):
    return '-c', 'import sys; from vlfusion.cli import main; sys.exit(main(sys.argv[1:]))', *arguments


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='the environment is laid out as on Unix')
def test_what_is_installed_works_and_can_be_taken_away(installed):
    code, said = installed('-c', FUSE)
    assert code == 0 and said.count('environment/lib') == 2, said
    code, said = installed(*vlfusion('check-plugin', 'cddfuse', '--only', 'CDDFuse', '--options', 'dim=16', 'blocks=1'))
    assert code == 0 and 'Nothing fails' in said, said
    code, said = installed('-c', "from vlfusion import Fuser; print(Fuser('x.pth').model.backbone)")
    assert code == 0 and 'CDDFuse' in said, said
    code, said = installed(*vlfusion('new-plugin', 'mine'))
    assert code == 0 and 'contains 7 files' in said, said
    code, said = installed('-c', "from vlfusion.language.prompt import load_prompt; print(load_prompt('pair').id)")
    assert code == 0, said

    code, said = installed('-m', 'pip', 'uninstall', '--yes', 'vlfusion-cddfuse')
    assert code == 0, said
    code, said = installed(*vlfusion('list', 'backbone'))
    assert code == 0 and 'HelloNet' in said and 'CDDFuse' not in said, said
    code, said = installed('-c', "from vlfusion import Fuser; Fuser('x.pth')")
    assert code == 1 and "'CDDFuse' is not a known backbone" in said, said
    code, said = installed(*vlfusion('check-plugin', 'hello'))
    assert code == 0 and 'Nothing fails' in said, said
