"""A toy data set, configs pointed at it, a browser, a full disk, and servers in place of the public ones."""

import shutil
import sys
from types import SimpleNamespace

import pytest

from vlfusion import plugins
from vlfusion.registry import REGISTRIES
from vlfusion.testing.model_hub import ModelHub
from vlfusion.testing.public_host import PublicHost
from vlfusion.testing.toys import TINY, draw_pairs, write_features
from vlfusion.zoo.facts import read_package

#: Where the hub keeps a file.
FILES = '{repo_id}/resolve/{revision}/{filename}'
#: Variables that would lead requests elsewhere.
ELSEWHERE = ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY', 'VLFUSION_OFFLINE', 'HF_TOKEN_PATH')

#: Options of Chromium.
BROWSER = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
           '--disable-background-networking', '--disable-component-update', '--disable-sync']


@pytest.fixture
def toy(tmp_path):
    """A data set of five pairs with text features, and a function that builds a tiny FILM config on it."""
    from vlfusion.config import load_config
    names = [f'p{i}' for i in range(5)]
    draw_pairs(tmp_path / 'data', names)
    write_features(tmp_path / 'data/text', names)
    dataset = dict(type='PairDataset', task='ivf', data_root=str(tmp_path / 'data'), source_a='ir', source_b='vi',
                   text_source=dict(files='text/{name}.npy'))
    crop = dict(type='BothSources',
                transforms=[dict(type='RandomCrop', size=(44, 44)), dict(type='RandomFlip', prob=0.5)])

    def config(**options):
        built = load_config('configs/film/film_ivf.py', {**TINY, 'work_dir': str(tmp_path / 'work')})
        built.train_dataloader.dataset = dict(dataset, pipeline=[dict(type='LoadPair'), crop, dict(type='PackPair')])
        for split in ('val', 'test'):
            whole = [dict(type='LoadPair'), dict(type='PackPair')]
            built[f'{split}_dataloader'].dataset = dict(dataset, pipeline=whole)
        built.merge_from_dict({'train_cfg.max_iters': 6, 'train_cfg.val_interval': 3,
                               'default_hooks.checkpoint.interval': 2, 'optim_wrapper.optimizer.lr': 1e-3, **options})
        return built

    config.data = tmp_path / 'data'
    config.work = tmp_path / 'work'
    return config


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs a package of this name and files as a plugin, until the end of the test."""
    packages = []

    def forget():
        plugins.found.cache_clear()
        read_package.cache_clear()

    def install(package, **files):
        folder = tmp_path / 'site' / package
        about = tmp_path / f'site/{package}-1.2.dist-info'
        for path in (folder, about):
            path.mkdir(parents=True)
        (about / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n')
        (about / 'entry_points.txt').write_text(f'[vlfusion.plugins]\n{package} = {package}\n')
        for name, content in {'__init__.py': '', **files}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
        packages.append(package)
        monkeypatch.syspath_prepend(tmp_path / 'site')
        forget()
        return folder

    yield install
    forget()
    for package in packages:
        sys.modules.pop(package, None)
    for registry in REGISTRIES.values():
        for key in [key for key in registry.module_dict if key.partition('.')[0] in packages]:
            del registry.module_dict[key]


@pytest.fixture(scope='module')
def chromium():
    """A browser without a window, which asks no server of its own."""
    executable = shutil.which('chromium')
    if not executable:
        pytest.skip('needs Chromium: apt-get install chromium')
    sync_playwright = pytest.importorskip('playwright.sync_api', reason="pip install 'vlfusion[dev]'").sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=BROWSER)
        yield browser
        browser.close()


@pytest.fixture
def full_disk():
    """Writing more than 4096 bytes to a file gives a real error of the operating system."""
    resource = pytest.importorskip('resource')
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A server laid out as the public host, as the mirror of this process and of those that it starts."""
    with PublicHost() as host:
        for name in ELSEWHERE:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv('VLFUSION_MIRROR', host.address)
        monkeypatch.setenv('VLFUSION_HOME', str(tmp_path / 'home'))
        monkeypatch.setenv('HF_HUB_OFFLINE', '0')
        monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', False)
        monkeypatch.setattr('vlfusion.zoo.remote.WAIT', 0.01)
        yield host


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub for models on this machine, and a token for it."""
    with ModelHub() as hub:
        for name in ELSEWHERE:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv('HF_TOKEN', hub.token)
        # huggingface_hub read the environment when it was imported.
        for name, value in dict(ENDPOINT=hub.address, HUGGINGFACE_CO_URL_TEMPLATE=f'{hub.address}/{FILES}',
                                HF_HUB_CACHE=str(tmp_path / 'cache'), HF_HUB_DISABLE_XET=True,
                                HF_HUB_OFFLINE=False).items():
            monkeypatch.setattr(f'huggingface_hub.constants.{name}', value)
        yield hub


@pytest.fixture
def install_sets(install):
    """A function that installs a plugin with a `sets.toml` and manifests. Importing the plugin fails."""
    def install_sets(package, facts, manifests=()):
        tables = {f'manifests/{name}.tsv': '\n'.join('\t'.join(line) for line in lines)
                  for name, lines in dict(manifests).items()}
        install(package, **{'__init__.py': 'raise RuntimeError("this plugin was imported")', 'sets.toml': facts,
                            **tables})
    return install_sets


@pytest.fixture
def toy_set(install_sets, host, tmp_path):
    """A data set `Toy` of two pairs, which the host serves, with the data root for it."""
    files = {'ivf/Toy/ir/1.png': b'first', 'ivf/Toy/ir/2.png': b'second', 'ivf/Toy/vi/1.png': b'third',
             'ivf/Toy/vi/2.png': b'fourth'}
    facts = '[Toy]\ntitle = "Two pairs"\ntask = "ivf"\n[[Toy.pairs]]\nfolder = "ivf/Toy"\nsource_a = "ir"\n' \
            'source_b = "vi"\ncount = 2\n'
    lines = []
    for place, content in files.items():
        folder, _, name = place.rpartition('/')
        file = host.add(content, 'owner/toy', f'images/{folder[-2:]}/toy {name}')
        lines += [('repository', file.repo, file.commit), ('folder', f'images/{folder[-2:]}', folder),
                  (file.blob, str(len(content)), f'toy {name}', name)]
    install_sets('toysets', facts, {'Toy': lines})
    return SimpleNamespace(root=tmp_path / 'data', files=files, facts=facts)
