"""The command line answers as quickly as its imports allow: heavy packages are imported only where they are needed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vlfusion.cli import VERBS
from vlfusion.testing.toys import draw_pairs

ROOT = Path(__file__).parents[2]
TORCH = {'torch', 'mmengine.runner', 'mmengine.model', 'mmcv', 'transformers', 'torchvision', 'scipy', 'h5py', 'timm'}
MMENGINE = TORCH | {'mmengine'}
#: Runs command lines one after another in one process, and says after each what has been imported so far.
SCRIPT = """
import contextlib, io, json, sys
from vlfusion.cli import main

answers = []
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = stop.code
    answers.append((code, out.getvalue() + err.getvalue(), sorted(sys.modules)))
json.dump(answers, sys.stdout)
"""

#: What needs no config: the arguments, the exit code and a word of the answer.
WITHOUT_CONFIGS = [
    ('--help', 0, 'describe images with captioners'), ('--version', 0, 'vlfusion'), ('', 2, 'required: VERB'),
    ('trian config.py', 2, 'invalid choice'), ('fuse', 2, 'required: MODEL'), ('list --al --x', 2, '--x'),
    *((f'{verb} --help', 0, f'usage: vlfusion {verb}') for verb in (
        'fuse', 'export', 'evaluate', 'metrics', 'leaderboard', 'reproduce', 'compare', 'contact-sheet', 'list',
        'new-plugin')),
    ('fuse no.pth ir/p.png vi/p.png -o x.png', 2, 'No checkpoint at no.pth'),
    ('fuse film/film_ivv ir/p.png vi/p.png -o x.png', 2, 'Did you mean film/film_ivf?'),
    ('export no.pth --format onnx --out x.onnx', 2, 'No checkpoint at no.pth'),
    ('evaluate ir --source-a ir --source-b vi --out x.txt', 2, 'ends in .csv'),
    ('leaderboard no.csv', 2, 'no file no.csv'), ('compare ir/p.png ir/p.png', 0, '100.000%'),
    ('contact-sheet --source-a ir --source-b vi --out x.doc', 2, '.pdf'), ('new-plugin 9', 2, "cannot be called '9'"),
    ('new-plugin mine_to_write', 0, 'contains 7 files'), ('reproduce --list', 0, 'Lytro'),
    ('reproduce film', 2, 'no dataset'), ('reproduce unknown --dataset Lytro --fused ir', 2, "no method 'unknown'")]
#: What reads a config, or would, or knows the names of registries.
WITHOUT_TORCH = [
    *((f'{verb} --help', 0, f'usage: vlfusion {verb}') for verb in VERBS),
    ('train no.py', 2, 'No config at'), ('test no.py', 2, 'No config at'), ('test config.py no.pth', 2, 'no.pth'),
    ('describe no.py', 2, 'No config at'), ('describe scans', 2, 'neither a folder of images nor a config'),
    ('describe config.py', 2, 'no language section'),
    ('text show no.py p', 2, 'No config at'), ('text audit', 2, 'either a CONFIG or --texts'),
    ('text audit --texts ir', 2, 'no .txt files'), ('prepare-data hdf5 no.py --out x.h5', 2, 'No config at'),
    ('prepare-data pack no.h5 --out x.safetensors', 2, '--task'), ('benchmark no.py', 2, 'No config at'),
    ('ablate-text no.py', 2, 'No config at'), ('train config.py --cfg-options nothing.of=1', 2, "has no 'nothing'"),
    ('push no.pth anna/film', 2, 'No checkpoint at no.pth'), ('push no.pth film', 2, 'No checkpoint'),
    ('check-plugin unknown', 2, "plugin is called 'unknown'")]


@pytest.fixture(scope='module')
def answers(tmp_path_factory):
    """The answer to each command line of a list, and the modules imported up to it."""
    folder = tmp_path_factory.mktemp('start')
    draw_pairs(folder, ['p'])
    (folder / 'config.py').write_text("task = 'ivf'\n")

    def answers(cases):
        done = subprocess.run(
            [sys.executable, '-c', SCRIPT], cwd=folder, text=True, capture_output=True, check=True,
            input=json.dumps([arguments.split() for arguments, _, _ in cases]),
            env=os.environ | {'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])})
        return dict(zip((arguments for arguments, _, _ in cases), json.loads(done.stdout), strict=True))
    return {True: answers(WITHOUT_TORCH), False: answers(WITHOUT_CONFIGS)}


@pytest.mark.parametrize(('arguments', 'code', 'said', 'reads_config'), [
    *(pytest.param(*case, False, id=case[0] or 'nothing') for case in WITHOUT_CONFIGS),
    *(pytest.param(*case, True, id=case[0] + ' (torch)') for case in WITHOUT_TORCH)])
def test_heavy_packages_are_left_alone(answers, arguments, code, said, reads_config):
    ended, printed, modules = answers[reads_config][arguments]
    assert (ended, said in printed) == (code, True), printed
    heavy = TORCH if reads_config else MMENGINE
    assert not heavy & set(modules)


def test_a_verb_imports_no_other_verb(answers):
    _, _, modules = answers[False]['fuse']
    verbs = {f'vlfusion.cli.{verb.replace("-", "_")}' for verb in VERBS}
    assert verbs & set(modules) == {'vlfusion.cli.fuse'}
