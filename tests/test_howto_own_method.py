"""The page docs/howto/own_method.md: its files are written, its commands run, their output compared with the page's."""

import doctest
import os
import re
import site
import subprocess
import venv
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / 'docs/howto/own_method.md').read_text()
BLOCKS = re.findall(r'^```(python|console)\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r'\d+(\.\d+)?(e-?\d+)?')
SCRIPT = '#!{python}\nimport sys\nfrom {module} import main\nsys.exit(main())\n'


@pytest.fixture
def shell(tmp_path):
    """Runs commands in an empty folder, in an environment that has all of this one and can be installed into."""
    for package in ('nilearn', 'timm'):
        pytest.importorskip(package, reason="pip install 'vlfusion[sample,vision]'")
    folder, environment = tmp_path / 'work', tmp_path / 'environment'
    folder.mkdir()
    venv.create(environment)
    [packages] = environment.glob('lib/python*/site-packages')
    (packages / 'beneath.pth').write_text(f'import site; site.addsitedir({site.getsitepackages()[0]!r})\n')
    for name, module in (('vlfusion', 'vlfusion.cli'), ('pip', 'pip._internal.cli.main')):
        script = environment / 'bin' / name
        script.write_text(SCRIPT.format(python=environment / 'bin/python', module=module))
        script.chmod(0o755)
    # Nothing is fetched: what the plugin needs to be built and to run is there.
    settings = {**os.environ, 'PATH': f'{environment}/bin:{os.environ["PATH"]}', 'PIP_NO_INDEX': '1', 'COLUMNS': '160',
                'PIP_NO_DEPS': '1', 'PIP_NO_BUILD_ISOLATION': '0', 'PIP_DISABLE_PIP_VERSION_CHECK': '1'}

    def run(command):
        return subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, env=settings)
    run.folder = folder
    return run


@pytest.mark.slow
def test_the_page_does_what_it_says(shell):
    commands = 0
    for kind, block in BLOCKS:
        if kind == 'python':
            path = block.partition('\n')[0].removeprefix('# ')
            assert (shell.folder / path).is_file(), f'{path} is in place of no file of the template.'
            (shell.folder / path).write_text(block)
            continue
        for command, expected in re.findall(r'^\$ (.*)\n((?:(?!\$ ).*\n)*)', block, re.MULTILINE):
            done = shell(command)
            assert done.returncode == 0, f'$ {command}\n{done.stdout}\n{done.stderr}'
            assert alike(expected, done.stdout), f'$ {command}\nexpected:\n{expected}\ngot:\n{done.stdout[-3000:]}'
            commands += 1
    assert commands == 10
    assert shell('pip uninstall --yes vlfusion-my-fusion').returncode == 0
    assert 'my_fusion' not in shell('vlfusion list backbone').stdout


def alike(expected, got):
    """Check that an output is the page's, but for numbers, white space and what `...` stands for."""
    expected, got = (NUMBER.sub('0', text).replace('\n...', ' ...') for text in (f'\n{expected}', f'\n{got}'))
    return doctest.OutputChecker().check_output(expected, got, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
