"""Facts about this installation, for the report of an error: versions, devices, extras, plugins, cache, settings."""

import os
import platform
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from vlfusion import __version__, plugins
from vlfusion.errors import one_line
from vlfusion.files import cache_folder, size_in_words
from vlfusion.guards.redaction import HIDDEN, is_secret, mask
from vlfusion.registry import snapshot

#: Distributions whose versions matter in most errors.
PACKAGES = ('torch', 'torchvision', 'mmengine', 'mmcv-lite', 'mmcv', 'numpy', 'transformers', 'sentence-transformers',
            'open_clip_torch', 'timm', 'openai', 'huggingface-hub', 'safetensors', 'h5py', 'pillow', 'opencv-python',
            'opencv-python-headless', 'SimpleITK', 'gradio')
#: Variables of others that change how vlfusion runs.
VARIABLES = (
    'CUDA_VISIBLE_DEVICES', 'HF_ENDPOINT', 'HF_HOME', 'HF_HUB_CACHE', 'HF_HUB_OFFLINE', 'HF_TOKEN', 'MKL_NUM_THREADS',
    'OMP_NUM_THREADS', 'OPENAI_API_KEY', 'OPENAI_BASE_URL', 'OPENCV_IO_MAX_IMAGE_PIXELS', 'PYTORCH_ALLOC_CONF',
    'PYTORCH_CUDA_ALLOC_CONF', 'SSL_CERT_DIR', 'SSL_CERT_FILE', 'TORCH_HOME', 'all_proxy', 'http_proxy', 'https_proxy',
    'no_proxy')


def collect_environment(build: bool = False) -> dict[str, Any]:
    """Collect facts about this installation as plain data, without secrets. Plugins are loaded to see if they can be.

    Args:
        build: True to add what MMEngine knows of compilers and of torch's build.

    Returns:
        `versions`, `platform`, `devices`, `extras`, `plugins`, `cache`, `variables`, and `build` on request.
    """
    facts = {'versions': _versions(), 'platform': _platform(), 'devices': _devices(), 'extras': find_extras(),
             'plugins': _plugins(), 'cache': _cache(), 'variables': _variables(os.environ)}
    if build:
        from mmengine.utils.dl_utils import collect_env
        facts['build'] = {key: str(value) for key, value in collect_env().items()}
    return _without_home(facts)


def find_extras(name: str = 'vlfusion') -> dict[str, list[str]]:
    """Return what each extra of a distribution lacks here: requirements that no installed version meets.

    An empty list means that the extra is complete. Without an installed distribution there are no extras.
    """
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        return {}
    return {extra: _lacking(installed, extra) for extra in installed.metadata.get_all('Provides-Extra') or ()}


def _lacking(installed: Distribution, extra: str) -> list[str]:
    requirements = map(Requirement, installed.requires or ())
    lacking = []
    for requirement in requirements:
        if not requirement.marker or not requirement.marker.evaluate({'extra': extra}) or requirement.marker.evaluate(
                {'extra': ''}):
            continue
        if requirement.name == installed.name:  # vlfusion[language,vision]
            lacking += [line for inner in sorted(requirement.extras) for line in _lacking(installed, inner)]
        elif not _is_met(requirement):
            lacking.append(f'{requirement.name}{requirement.specifier}')
    return list(dict.fromkeys(lacking))


def _is_met(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


def _versions() -> dict[str, str]:
    versions = {'vlfusion': __version__, 'python': sys.version.split()[0]}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _platform() -> dict[str, str]:
    return {'system': platform.platform(), 'machine': platform.machine(), 'cores': str(os.cpu_count()),
            'executable': sys.executable, 'vlfusion': str(Path(__file__).parent)}


def _devices() -> list[str]:
    import torch
    devices = [f'cpu, {torch.get_num_threads()} threads']
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        devices.append(f'cuda:{number} {facts.name}, {size_in_words(facts.total_memory)}, CUDA {torch.version.cuda}')
    if torch.backends.mps.is_available():
        devices.append('mps')
    return devices


def _plugins() -> list[dict[str, str]]:
    plugins.load_all(snapshot)
    return [{'name': plugin.entry.name, 'distribution': plugin.distribution, 'status': plugin.status,
             'problem': mask(one_line(plugin.explain()))} for plugin in plugins.found()]


def _cache() -> dict[str, Any]:
    folder = cache_folder()
    sizes = [os.lstat(Path(place, name)).st_size for place, _, names in os.walk(folder) for name in names]
    return {'folder': str(folder), 'files': len(sizes), 'bytes': sum(sizes)}


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that vlfusion reads. Secrets are hidden; a variable that may hold one is named only."""
    known = {name.casefold() for name in VARIABLES}
    return {name: HIDDEN if is_secret(name, value) else one_line(mask(value))
            for name, value in sorted(environment.items())
            if name.startswith('VLFUSION_') or name.casefold() in known}


def _without_home(value: Any) -> Any:
    """Replace the home folder, which names its user, by `~`."""
    if isinstance(value, dict):
        return {key: _without_home(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_home(item) for item in value]
    home = str(Path.home())
    return value.replace(home, '~') if isinstance(value, str) and len(home) > 1 else value


def environment_lines(facts: Mapping[str, Any]) -> Iterable[str]:
    """Write facts of `collect_environment` as lines of aligned text."""
    yield from _columns(facts['versions'].items())
    yield from ('', *_columns(facts['platform'].items()))
    cache = facts['cache']
    yield from ('', *_columns([*(('device', device) for device in facts['devices']), (
        'cache', f'{cache["folder"]}: {cache["files"]} files, {size_in_words(cache["bytes"])}')]))
    yield from ('', 'extras')
    yield from _columns(((f'  {extra}', f'lacks {", ".join(lacking)}' if lacking else 'complete')
                         for extra, lacking in facts['extras'].items()))
    if not facts['extras']:
        yield '  not known: vlfusion is not installed, but imported from a folder'
    yield from ('', 'plugins')
    yield from _columns((f'  {plugin["name"]}', plugin['problem'] or f'{plugin["status"]}, {plugin["distribution"]}')
                        for plugin in facts['plugins']) or ['  none']
    yield from ('', 'variables')
    yield from _columns((f'  {name}', value) for name, value in facts['variables'].items()) or ['  none']
    if 'build' in facts:
        yield from ('', 'build')
        for key, value in facts['build'].items():
            yield from (f'  {key}: {line}' if not place else f'    {line}'
                        for place, line in enumerate(value.splitlines() or ['']))


def _columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    return [f'{name:{width}}  {value}'.rstrip() for name, value in rows]
