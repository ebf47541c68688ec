"""Downloads from a real server with the faults of real servers."""

import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import time

import pytest
from huggingface_hub.utils import close_session

from vlfusion.errors import ConfigError, DataError, DownloadError
from vlfusion.testing.public_host import PublicHost
from vlfusion.zoo.remote import HOST, RemoteFile, check, fetch, fetch_all, is_offline

CONTENT = random.Random(0).randbytes(300_000)
FETCH = ('import sys; from vlfusion.zoo.remote import *; '
         'fetch(RemoteFile(*sys.argv[2:6]), sys.argv[1]); assert "torch" not in sys.modules')


def path_of(file):
    return f'/{file.repo}/{file.commit}/{file.path}'


def start(place, file):
    """A process that fetches a file."""
    return subprocess.Popen([sys.executable, '-c', FETCH, place, file.repo, file.commit, file.path, file.blob],
                            stderr=subprocess.PIPE, text=True)


def test_a_file_is_loaded_once(host, tmp_path):
    shown = []
    file = host.add(CONTENT, path='a folder/model.pth', size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
    place = fetch(file, tmp_path / 'cache/model.pth', show=lambda *step: shown.append(step))
    assert place.read_bytes() == CONTENT and [entry.name for entry in place.parent.iterdir()] == ['model.pth']
    assert shown[0] == ('model.pth (kB)', 0, 300) and shown[-1] == ('model.pth (kB)', 300, 300)
    fetch(file, place)
    assert host.requests == [(path_of(file), None)] and [*(tmp_path / 'home/locks').iterdir()] == []
    check(place, file)


def test_progress_by_default(host, tmp_path, capfd):
    fetch(host.add(CONTENT), tmp_path / 'model.pth')
    assert 'model.pth (kB): 300 of 300' in capfd.readouterr().err
    fetch_all({tmp_path / 'p.png': host.add(b'', path='p.png')})
    assert capfd.readouterr().err == ''


def test_no_token_leaves_for_another_service(host, tmp_path, monkeypatch):
    monkeypatch.setenv('HF_TOKEN', 'hf_0123456789abcdef')
    fetch(host.add(CONTENT), tmp_path / 'model.pth')
    assert 'Authorization' not in host.headers[0] and 'hf_' not in str(host.headers)


def test_an_absent_file(host, tmp_path):
    file = RemoteFile('owner/name', '0' * 40, 'gone.pth', '1' * 40)
    with pytest.raises(DownloadError) as error:
        fetch(file, tmp_path / 'cache/gone.pth', by_hand='vlfusion models add gone FILE')
    assert str(error.value) == (f'{file.address} cannot be loaded: status 404 Not Found.\n'
                                '  -> The mirror of VLFUSION_MIRROR lacks it; the original is '
                                f'{HOST}/owner/name/{"0" * 40}/gone.pth. vlfusion models add gone FILE')
    assert len(host.requests) == 1 and [*(tmp_path / 'cache').iterdir()] == []


def test_a_busy_server_is_asked_again(host, tmp_path):
    file = host.add(CONTENT)
    host.faults[path_of(file)] = [500, 503, 429]
    assert fetch(file, tmp_path / 'model.pth').read_bytes() == CONTENT
    assert len(host.requests) == 4


def test_a_server_that_stays_broken(host, tmp_path):
    file = host.add(CONTENT)
    host.faults[path_of(file)] = [500] * 9
    with pytest.raises(DownloadError, match='status 500 Internal Server Error'):
        fetch(file, tmp_path / 'model.pth')
    assert len(host.requests) == 5


@pytest.mark.parametrize('size', [None, len(CONTENT)])
def test_a_cut_off_body_is_continued(host, tmp_path, size):
    file = host.add(CONTENT, size=size)
    host.faults[path_of(file)] = ['cut', 'cut']
    assert fetch(file, tmp_path / 'model.pth').read_bytes() == CONTENT
    assert [part for _, part in host.requests] == [None, 'bytes=150000-', 'bytes=225000-']
    assert host.sent == len(CONTENT)


def test_a_server_that_knows_no_parts(host, tmp_path):
    file = host.add(CONTENT)
    host.faults[path_of(file)] = ['cut', 'whole']
    assert fetch(file, tmp_path / 'model.pth').read_bytes() == CONTENT
    assert host.requests[1][1] == 'bytes=150000-'


@pytest.mark.parametrize('begun, ranges', [
    (CONTENT[:1000], ['bytes=1000-']), (CONTENT, ['bytes=300000-']), (b'other', ['bytes=5-', None]),
    (CONTENT + b'more', ['bytes=300004-', None])], ids=['right', 'complete', 'of another file', 'too long'])
def test_the_part_of_an_earlier_run(host, tmp_path, begun, ranges):
    (tmp_path / '.model.pth.partial').write_bytes(begun)
    assert fetch(host.add(CONTENT), tmp_path / 'model.pth').read_bytes() == CONTENT
    assert [part for _, part in host.requests] == ranges
    assert not (tmp_path / '.model.pth.partial').exists()


@pytest.mark.parametrize('came, form', [
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n', 'a Git LFS pointer'),
    (b'\n<!DOCTYPE html><title>Log in</title>', 'a web page'), (b'', 'bytes 0'),
    (CONTENT[:-1] + b'x', 'came git blob')], ids=['pointer', 'page', 'nothing', 'other'])
def test_another_content_is_refused(host, tmp_path, came, form):
    file = host.add(CONTENT, size=len(CONTENT))
    host.faults[path_of(file)] = [came]
    with pytest.raises(DownloadError) as error:
        fetch(file, tmp_path / 'cache/model.pth')
    assert form in error.value.problem and file.blob in error.value.problem and file.address in error.value.problem
    assert str(tmp_path / 'cache/model.pth') in error.value.remedy and [*(tmp_path / 'cache').iterdir()] == []


def test_a_wrong_digest_is_refused_too(host, tmp_path):
    with pytest.raises(DownloadError, match=f'expected SHA-256 {"0" * 64}; came SHA-256'):
        fetch(host.add(CONTENT, sha256='0' * 64), tmp_path / 'model.pth')


def test_a_file_here_is_checked(tmp_path, host):
    file = host.add(CONTENT)
    (tmp_path / 'other').write_bytes(b'other')
    with pytest.raises(DownloadError, match=f'other is not model.pth of owner/name at commit {file.commit[:10]}'):
        check(tmp_path / 'other', file)


def test_a_file_that_is_there_is_verified_if_asked_for(host, tmp_path):
    file, place = host.add(CONTENT), tmp_path / 'model.pth'
    place.write_bytes(b'other')
    assert fetch(file, place).read_bytes() == b'other' and host.requests == []
    assert fetch(file, place, verify=True).read_bytes() == CONTENT
    fetch(file, place, verify=True)
    assert len(host.requests) == 1


def test_no_more_is_read_than_the_file_should_have(host, tmp_path):
    file = host.add(CONTENT, size=len(CONTENT))
    host.faults[path_of(file)] = [CONTENT * 100]
    with pytest.raises(DownloadError, match='expected bytes 300000'):
        fetch(file, tmp_path / 'model.pth')
    assert host.sent < len(CONTENT) * 100


def test_a_silent_server(host, tmp_path, monkeypatch):
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT', 0.05)
    file = host.add(CONTENT)
    host.faults[path_of(file)] = ['stall']
    assert fetch(file, tmp_path / 'model.pth').read_bytes() == CONTENT
    host.files[path_of(file)] = CONTENT[:1]  # its half is no byte at all
    host.faults[path_of(file)] = ['stall'] * 9
    with pytest.raises(DownloadError, match='timed out'):
        fetch(file, tmp_path / 'again.pth')


def test_a_redirect_is_followed(host, tmp_path):
    file = host.add(CONTENT)
    with PublicHost() as other:
        other.add(CONTENT)
        host.faults[path_of(file)] = [other.address + path_of(file)]
        assert fetch(file, tmp_path / 'model.pth').read_bytes() == CONTENT
        assert len(other.requests) == 1


def test_a_proxy_is_used(host, tmp_path, monkeypatch):
    file = host.add(CONTENT)
    monkeypatch.setenv('HTTP_PROXY', host.address)
    monkeypatch.setenv('VLFUSION_MIRROR', 'http://far-away.invalid')
    close_session()  # the client reads the variable once
    try:
        assert fetch(file, tmp_path / 'model.pth').read_bytes() == CONTENT
    finally:
        close_session()
    assert host.headers[0]['Host'] == 'far-away.invalid'


def test_no_network(host, tmp_path, monkeypatch):
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))
        monkeypatch.setenv('VLFUSION_MIRROR', f'http://me:secret-word@127.0.0.1:{closed.getsockname()[1]}')
        with pytest.raises(DownloadError, match=r'http://127.0.0.1:\d+/owner/.* cannot be loaded') as error:
            fetch(host.add(CONTENT), tmp_path / 'model.pth')
        assert 'secret-word' not in str(error.value) and 'VLFUSION_MIRROR names a mirror' in error.value.remedy
        with pytest.raises(DataError, match='Check the connection') as error:
            fetch_all({tmp_path / f'{i}.png': host.add(b'%d' % i, path=f'{i}.png') for i in range(7)})
    assert '... and 2 more' in error.value.problem


@pytest.mark.parametrize('name', ['VLFUSION_OFFLINE', 'HF_HUB_OFFLINE', '--offline'])
def test_offline(host, tmp_path, monkeypatch, name):
    assert not is_offline()
    if name == 'HF_HUB_OFFLINE':
        monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    else:
        monkeypatch.setenv(name, '1')
    with pytest.raises(DownloadError, match=f'has to be loaded from {host.address}/owner.*is offline'):
        fetch(host.add(CONTENT), tmp_path / 'model.pth', offline=name == '--offline')
    assert host.requests == [] and is_offline() == (name != '--offline')
    (tmp_path / 'model.pth').write_bytes(CONTENT)
    fetch(host.add(CONTENT), tmp_path / 'model.pth', offline=True)


@pytest.mark.parametrize('mirror, address', [
    ('', 'https://raw.githubusercontent.com/o/n/abc/a%20b.pth'),
    ('http://127.0.0.1:8000/', 'http://127.0.0.1:8000/o/n/abc/a%20b.pth'),
    ('http://[::1]:8000', 'http://[::1]:8000/o/n/abc/a%20b.pth'),
    ('https://cdn.jsdelivr.net/gh/{repo}@{commit}/{path}', 'https://cdn.jsdelivr.net/gh/o/n@abc/a%20b.pth')])
def test_mirrors(monkeypatch, mirror, address):
    monkeypatch.setenv('VLFUSION_MIRROR', mirror)
    assert RemoteFile('o/n', 'abc', 'a b.pth', '').address == address


@pytest.mark.parametrize('mirror', [
    'mirror.org', 'ftp://mirror.org', 'https://', 'https://m.org/{repo}/{path}', 'https://m.org/{repo}/{commit}/{file}',
    'https://m.org/{repo}/{commit}/{path', 'https://m.org/{}/{repo}/{commit}/{path}',
    'http://m..org', 'http://m org', 'http://-', 'http://m.org:port', 'http://m.org:99999',
    'https://m.org/{repo.x}{repo}/{commit}/{path}', 'http://[m.org/{repo}/{commit}/{path}'])
def test_a_wrong_mirror(monkeypatch, mirror):
    monkeypatch.setenv('VLFUSION_MIRROR', mirror)
    with pytest.raises(ConfigError, match='VLFUSION_MIRROR is'):
        RemoteFile('o/n', 'abc', 'a.pth', '').address  # noqa: B018


def test_a_mirror_by_template_is_asked(host, tmp_path, monkeypatch):
    file = host.add(CONTENT)
    host.files = {f'/gh/{file.repo}@{file.commit}/{file.path}': CONTENT}
    monkeypatch.setenv('VLFUSION_MIRROR', host.address + '/gh/{repo}@{commit}/{path}')
    assert fetch(file, tmp_path / 'model.pth').read_bytes() == CONTENT


def test_many_files_that_cannot_be_written(host, tmp_path):
    (tmp_path / 'ir').touch()
    with pytest.raises(OSError, match='ir'):
        fetch_all({tmp_path / f'ir/set/{i}.png': host.add(b'%d' % i, path=f'ir/{i}.png') for i in range(9)})


def test_many_files(host, tmp_path):
    files = {tmp_path / f'ir/{i}.png': host.add(b'%d' % i, path=f'ir/{i}.png') for i in range(40)}
    host.faults[path_of(files[tmp_path / 'ir/0.png'])] = [404]
    shown = []
    with pytest.raises(DataError, match=r'(?s)1 of 40 files are missing.*ir/0.png cannot be loaded: status 404'):
        fetch_all(files, show=lambda *step: shown.append(step))
    assert shown[-1] == ('downloading', 39, 40) and len([*(tmp_path / 'ir').iterdir()]) == 39
    fetch_all(files, show=lambda *step: shown.append(step))
    assert shown[-1] == ('downloading', 40, 40) and len(host.requests) == 41
    assert (tmp_path / 'ir/0.png').read_bytes() == b'0'


def test_one_file_at_two_places(host, tmp_path):
    file = host.add(b'twice', path='p.png')
    fetch_all({tmp_path / 'ir/p.png': file, tmp_path / 'vi/p.png': file})
    assert [(tmp_path / f'{folder}/p.png').read_bytes() for folder in ('ir', 'vi')] == [b'twice'] * 2


def test_many_files_offline(host, tmp_path):
    files = {tmp_path / f'{i}.png': host.add(b'%d' % i, path=f'{i}.png') for i in range(2)}
    fetch(files[tmp_path / '0.png'], tmp_path / '0.png')
    host.requests.clear()
    with pytest.raises(DownloadError, match=r'(?s)1 of 2 files have to be loaded.*1\.png.*Allow downloads'):
        fetch_all(files, offline=True)
    fetch(files[tmp_path / '1.png'], tmp_path / '1.png')
    fetch_all(files, offline=True)
    assert len(host.requests) == 1


def test_many_files_without_a_network(host, tmp_path):
    files = {tmp_path / f'{i}.png': RemoteFile('owner/name', '0' * 40, f'{i}.png', '') for i in range(400)}
    here = {tmp_path / f'here{i}.png': host.add(b'', path=f'here/{i}.png') for i in range(40)}
    fetch_all(here)
    host.requests.clear()
    with pytest.raises(DataError, match='400 of 440 files are missing'):
        fetch_all({**here, **files})
    assert len(host.requests) < 100


def test_a_full_disk(host, tmp_path, full_disk):
    with pytest.raises(OSError) as error:
        fetch(host.add(CONTENT), tmp_path / 'model.pth', show=lambda *_: None)
    assert error.value.filename == str(tmp_path / 'model.pth') and not (tmp_path / 'model.pth').exists()


@pytest.mark.slow
def test_a_killed_download_is_continued(host, tmp_path):
    """The kill comes while the file arrives, in 20 of 20 runs."""
    for run in range(20):
        host.delay = 0.1
        file, place = host.add(CONTENT, path=f'{run}.pth'), tmp_path / f'{run}.pth'
        part = place.with_name(f'.{place.name}.partial')
        process = start(place, file)
        while not (part.exists() and part.stat().st_size) and process.poll() is None:
            time.sleep(0.002)
        time.sleep(run * 0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        host.delay = 0
        assert not place.exists() and 0 < part.stat().st_size < len(CONTENT)
        assert fetch(file, place).read_bytes() == CONTENT
        assert not part.exists() and host.requests[-1][1].startswith('bytes=')


@pytest.fixture
def two(host, tmp_path):
    """A process that loads a file, another one that waits for it, and the file's place."""
    host.delay = 0.5
    file, place = host.add(CONTENT), tmp_path / 'model.pth'
    part = place.with_name('.model.pth.partial')
    first = start(place, file)
    while not (part.exists() and part.stat().st_size) and first.poll() is None:
        time.sleep(0.01)
    second = start(place, file)
    assert 'another process downloads' in second.stderr.readline()
    return first, second, place


@pytest.mark.slow
def test_two_processes_load_once(host, tmp_path, two):
    *processes, place = two
    host.delay = 0
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0] and place.read_bytes() == CONTENT
    assert len(host.requests) == 1 and host.sent == len(CONTENT) and os.listdir(tmp_path / 'home/locks') == []


@pytest.mark.slow
def test_who_waits_goes_on_after_a_kill(host, two):
    first, second, place = two
    first.kill()
    first.communicate()
    host.delay = 0
    second.communicate()
    assert second.returncode == 0 and place.read_bytes() == CONTENT
    assert [bool(part) for _, part in host.requests] == [False, True]
