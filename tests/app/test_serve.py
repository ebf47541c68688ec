"""Serving the page: the verb from its start to its end, its refusals, and the same page as a Space."""

import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from vlfusion.cli import main
from vlfusion.errors import ConfigError

pytest.importorskip('gradio', reason="pip install 'vlfusion[app]'")


@pytest.mark.slow
def test_the_verb_serves_this_machine_alone_and_leaves_nothing(request, tmp_path):
    run = subprocess.Popen(
        [sys.executable, request.config.rootpath / 'tools/app.py', 'laplacian', '--max-pixels', '1000'],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, 'TMPDIR': str(tmp_path)})
    address = re.search(r'open at (http://127\.0\.0\.1:(\d+)/), for this machine alone', run.stdout.readline())
    try:
        page = urllib.request.urlopen(address[1]).read().decode()
        assert 'vlfusion' in page and 'googleapis' not in page
        assert [path.name.startswith('vlfusion-app-') for path in tmp_path.iterdir()].count(True) == 1
        for line in Path(f'/proc/{run.pid}/net/tcp').read_text().splitlines()[1:] if sys.platform == 'linux' else ():
            place, state = line.split()[1], line.split()[3]
            if state == '0A' and int(place.split(':')[1], 16) == int(address[2]):
                assert place.startswith('0100007F:')
    finally:
        run.send_signal(signal.SIGINT)
        rest = run.communicate(timeout=60)[0]
    assert run.returncode == 130 and 'Traceback' not in rest
    assert not [path for path in tmp_path.iterdir() if path.name.startswith('vlfusion-app-')]


def test_a_public_page_is_warned_of_before_it_opens(capsys):
    with pytest.raises(SystemExit):
        main(['app', 'laplacian', '--port', '65536'])
    assert 'a port from 1 to 65535' in capsys.readouterr().err
    assert main(['app', 'laplacain', '--share']) == 2
    printed = capsys.readouterr()
    assert 'Everyone who knows the address' in printed.out and 'Did you mean laplacian?' in printed.err


@pytest.mark.slow
def test_a_taken_port_is_named():
    from vlfusion.app.serve import open_page
    pytest.importorskip('vlfusion_classical', reason='pip install --editable plugins/classical')
    before = dict(os.environ)
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        with (pytest.raises(ConfigError, match='cannot be opened: .*port'),
              open_page('laplacian', port=taken.getsockname()[1])):
            pass
    assert dict(os.environ) == before


@pytest.mark.slow
def test_the_space_is_this_page(request):
    import gradio
    pytest.importorskip('vlfusion_film_weights', reason='pip install --editable plugins/film_weights')
    space = request.config.rootpath / 'examples/space'
    demo = runpy.run_path(str(space / 'app.py'))['demo']
    labels = {block.label for block in demo.blocks.values() if isinstance(block, gradio.Tab)}
    assert {'Pair', 'Folders', 'Volumes'} <= labels
    _, front, _ = (space / 'README.md').read_text(encoding='utf-8').split('---\n', 2)
    facts = yaml.safe_load(front)
    assert (facts['sdk'], facts['app_file'], facts['license']) == ('gradio', 'app.py', 'apache-2.0')
    wanted = re.search(r'gradio>=([\d.]+)', (request.config.rootpath / 'setup.cfg').read_text())[1]
    assert facts['sdk_version'].startswith(wanted) and len(facts['short_description']) <= 60
    required = (space / 'requirements.txt').read_text().split()
    assert required[0].startswith('vlfusion[app,') and 'vlfusion-film-weights' in required


@pytest.mark.slow
def test_a_stopped_space_leaves_no_upload(request, tmp_path):
    """SIGTERM, which a Space gets when it sleeps, ends the page as Ctrl-C does."""
    pytest.importorskip('vlfusion_film_weights', reason='pip install --editable plugins/film_weights')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    run = subprocess.Popen([sys.executable, request.config.rootpath / 'examples/space/app.py'],
                           env={**os.environ, 'TMPDIR': str(tmp_path), 'GRADIO_SERVER_PORT': str(port)})
    try:
        for _ in range(600):
            with socket.socket() as client:
                if run.poll() is not None or client.connect_ex(('127.0.0.1', port)) == 0:
                    break
            time.sleep(0.1)
        assert run.poll() is None and [*tmp_path.glob('vlfusion-app-*')]
        run.terminate()
        assert run.wait(timeout=30) == 143
    finally:
        run.kill()
    assert not [*tmp_path.glob('vlfusion-app-*')]
