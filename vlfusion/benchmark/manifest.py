"""Record of a comparison: code, packages, hardware, inputs, protocol, time; enough to tell comparisons apart."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch

import vlfusion
from vlfusion.benchmark.cache import image_digest
from vlfusion.benchmark.methods import FolderMethod, ModelMethod
from vlfusion.benchmark.plan import SetPlan
from vlfusion.benchmark.run import Run
from vlfusion.engine.digests import key_of
from vlfusion.errors import VLFusionError
from vlfusion.files import content_digest
from vlfusion.guards.redaction import without_secrets
from vlfusion.metrics.columns import metric_of


def manifest(run: Run, seconds: Mapping[str, float]) -> dict[str, Any]:
    """The manifest of a run, as plain data without secrets.

    Args:
        run: finished run.
        seconds: duration of each part of it.
    """
    plan = run.plan
    record = dict(
        title=plan.title, created=datetime.now(UTC).isoformat(timespec='seconds'), vlfusion=vlfusion.__version__,
        git=_git(Path(vlfusion.__file__).parent), python=sys.version.split()[0],
        packages=dict(sorted({str(package.metadata['Name']): package.version for package in distributions()}.items())),
        hardware=_hardware(), processes=run.world, device=run.device.type, threads=torch.get_num_threads(),
        protocol={'label': plan.protocol.label, **asdict(plan.protocol)},
        metrics=[{'column': column, 'variant': metric_of(column, plan.protocol.code).info.label,
                  'title': metric_of(column, plan.protocol.code).info.title} for column in plan.columns(True)],
        alpha=plan.alpha, correction=plan.correction, seeds=list(plan.seeds),
        datasets={set_plan.name: _dataset(run, set_plan) for set_plan in plan.datasets},
        methods={method.name: _method(method, run) for method in plan.methods},
        failures={f'{dataset}: {method}': why for (dataset, method), why in run.failures.items()},
        counts=dict(+run.counts), seconds=dict(seconds), config=plan.config)
    return without_secrets(record)


def _dataset(run: Run, set_plan: SetPlan) -> dict[str, Any]:
    pairs = run.pairs(set_plan.name)
    files = [[pair.name, *(image_digest(*image) for image in pair.images)]
             for pair in pairs]
    return {'images': len(pairs), 'task': set_plan.task.name, 'sha256': key_of(files=files)}


def _method(method: Any, run: Run) -> dict[str, Any]:
    if isinstance(method, FolderMethod):
        files = {name: method.files(name, run.pairs(name))[0].values() for name in method.folders}
        return {'folders': dict(method.folders),
                'sha256': {name: key_of(files=list(map(content_digest, paths))) for name, paths in files.items()}}
    return {'checkpoints': {name: digest for name in method.checkpoints if (digest := _weights(method, name))},
            'config': method.config, 'text_policy': method.text_policy,
            'instruction': method.instruction}


def _weights(method: ModelMethod, name: str) -> str | None:
    """The SHA-256 of the weights of a method; None if it has none, or they are not on this machine."""
    try:
        file = method.located[name].file
    except VLFusionError:
        return None
    return file and content_digest(file)


def _git(folder: Path) -> dict[str, Any] | None:
    """The commit of a checkout and whether it has changes; None if the folder is not a checkout."""
    def git(*arguments: str) -> str:
        return subprocess.run(['git', '-C', str(folder), *arguments], capture_output=True, text=True, check=True,
                              timeout=20).stdout.strip()

    try:
        return {'commit': git('rev-parse', 'HEAD'), 'changed': bool(git('status', '--porcelain', '--', '.'))}
    except (OSError, subprocess.SubprocessError):
        return None


def _hardware() -> dict[str, Any]:
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    try:
        memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    except (ValueError, OSError, AttributeError):
        memory = None
    return {'system': platform.platform(), 'processor': _processor(), 'cores': os.cpu_count(), 'memory': memory,
            'gpus': gpus}


def _processor() -> str:
    """Name of the processor, as Linux or else Python reports it."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(':')[2].strip() for line in lines if line.startswith('model name')),
                platform.machine())
