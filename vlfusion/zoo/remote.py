"""Public files of git repositories, pinned to a commit and verified by their content.

`fetch` loads one file, `fetch_all` many small ones. A file gets its name only after its content was verified. Until
then it is `.NAME.partial` in the same folder, which the next run continues, also after a kill. The client of
huggingface_hub talks to the server: it follows redirects, honours `HTTPS_PROXY` and repeats requests that a busy server
refuses. Its `http_get` is not used, because it loses up to 10 MB when a connection breaks.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from filelock import FileLock, Timeout

from vlfusion.console.notes import note
from vlfusion.console.progress import ShowProgress
from vlfusion.errors import ConfigError, DataError, DownloadError, listing
from vlfusion.files import cache_folder, patiently
from vlfusion.guards.redaction import mask, mask_log

#: Called with a step, the finished pieces of work and all pieces, as `ShowProgress` is.
Show = Callable[[str, int, int], None]

HOST = 'https://raw.githubusercontent.com'
#: Files that `fetch_all` loads at a time.
THREADS = 8
#: Repetitions of a request without new data, and seconds before the first. Each wait is twice the last.
RETRIES, WAIT = 4, 1.0
BUSY = (408, 429, 500, 502, 503, 504)
CHUNK = 2 ** 18
CONNECT = 'Check the connection. VLFUSION_MIRROR names a mirror, HTTPS_PROXY a proxy.'
TRUE = {'1', 'on', 'true', 'yes'}
ALLOW = 'Allow downloads (no --offline, VLFUSION_OFFLINE or HF_HUB_OFFLINE).'


@dataclass(frozen=True)
class RemoteFile:
    """A file at one commit of a public git repository.

    Args:
        repo: owner and name on GitHub, such as `uzeful/IFCNN`.
        commit: all 40 digits of the commit.
        path: path in the repository.
        blob: git blob id, the SHA-1 of `blob SIZE`, a zero byte and the content.
        size: bytes, if known.
        sha256: SHA-256 in hex, if known.
    """

    repo: str
    commit: str
    path: str
    blob: str
    size: int | None = None
    sha256: str = ''

    @property
    def address(self) -> str:
        """Address of the file on GitHub, or on the mirror that `VLFUSION_MIRROR` names.

        A mirror is an address that has the folders of raw.githubusercontent.com, or a template with `{repo}`,
        `{commit}` and `{path}`.

        Raises:
            ConfigError: `VLFUSION_MIRROR` is neither.

        >>> RemoteFile('uzeful/IFCNN', '0' * 40, 'my model.pth', '1' * 40).address[-15:]
        '/my%20model.pth'
        """
        mirror = os.environ.get('VLFUSION_MIRROR', '').strip().rstrip('/') or HOST
        template = mirror if '{' in mirror or '}' in mirror else f'{mirror}/{{repo}}/{{commit}}/{{path}}'
        fields = {name: quote(getattr(self, name)) for name in ('repo', 'commit', 'path')}
        try:
            address, parts = template.format_map(fields), urlsplit(template)
            host, _ = parts.hostname or '', parts.port  # a wrong port is a ValueError
            usable = (all(f'{{{name}}}' in template for name in fields) and parts.scheme in ('http', 'https')
                      and re.fullmatch(r'\w([\w.-]*\w)?|[\da-f:]+', host) and '..' not in host)
        except (ValueError, LookupError, AttributeError):
            usable = False
        if not usable:
            raise ConfigError(f'VLFUSION_MIRROR is {mask(mirror)!r}.',
                              'Give an address such as https://mirror.org, or a template with all fields such as '
                              'https://cdn.jsdelivr.net/gh/{repo}@{commit}/{path}.')
        return address


def is_digest(text: str, digits: int = 40) -> bool:
    """Tell whether a text is a digest in hex, such as a commit or a git blob id."""
    return bool(re.fullmatch(f'[0-9a-f]{{{digits}}}', text))


def is_offline() -> bool:
    """Tell whether `VLFUSION_OFFLINE`, `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` forbids all downloads."""
    from huggingface_hub import constants
    return os.environ.get('VLFUSION_OFFLINE', '').lower() in TRUE or constants.is_offline_mode()


def fetch(file: RemoteFile, place: str | os.PathLike, *, show: Show | None = None, offline: bool = False,
          verify: bool = False, by_hand: str = '') -> Path:
    """Download a file, unless it is there already, and return its path.

    Several processes may do so at once: one loads the file, the others wait for it.

    Args:
        file: what to load.
        place: path of the file here. Missing folders are made.
        show: function that shows the progress, in kB; by default a bar, or lines, on stderr.
        offline: True to refuse to download. The variables of `is_offline` do so too.
        verify: True to verify a file that is there already, and to replace it if its content differs.
        by_hand: advice in errors on how to get the file without this function.

    Raises:
        DownloadError: vlfusion is offline, the server does not answer or does not have the file, or the content is
            wrong. Names the address.
        OSError: the file cannot be written.
    """
    place = Path(place)

    def is_here() -> bool:
        return place.is_file() and not (verify and _difference(place, file))
    if is_here():
        return place
    remedy = by_hand or f'Or load it with another program, and save it as {place}.'
    if offline or is_offline():
        raise DownloadError(f'{place} has to be loaded from {mask(file.address)}, but vlfusion is offline.',
                            f'{ALLOW} {remedy}')
    place.parent.mkdir(parents=True, exist_ok=True)
    with one_process(place), nullcontext(show) if show else ShowProgress() as show:
        if not is_here():
            try:
                _download(file, place, show, remedy)
            except OSError as error:
                error.filename = error.filename or str(place)  # a full disk names no file
                raise
    return place


def fetch_all(files: Mapping[Path, RemoteFile], *, show: Show | None = None,
              offline: bool = False, verify: bool = False, by_hand: str = '') -> None:
    """Download many small files, several at a time. Files that are there already are not loaded again.

    A failure does not stop the others. Many in a row do.

    Args:
        files: the file of each path here.
        show: function that shows the progress, in files. None shows nothing.
        offline, verify, by_hand: as for `fetch`.

    Raises:
        DataError: lists the files that could not be loaded. A second call loads only these.
        DownloadError: vlfusion is offline, and files are missing. Lists them.
        OSError: a file cannot be written.
    """
    missing = {place: file for place, file in files.items() if verify or not place.is_file()}
    if missing and (offline or is_offline()):
        raise DownloadError(f'{len(missing)} of {len(files)} files have to be loaded, but vlfusion is offline:\n'
                            + listing(map(str, missing), 5), f'{ALLOW} {by_hand}'.strip())
    failures, in_a_row, here = [], 0, len(files) - len(missing)
    with ThreadPoolExecutor(THREADS) as pool:
        tasks = [pool.submit(fetch, file, place, show=_nothing, verify=verify)
                 for place, file in missing.items()]
        try:
            for task in as_completed(tasks):
                try:
                    task.result()
                    in_a_row, here = 0, here + 1
                except DownloadError as error:
                    failures.append(error)
                    in_a_row += 1
                if show:
                    show('downloading', here, len(files))
                if in_a_row == 2 * THREADS:
                    break
        finally:
            pool.shutdown(cancel_futures=True)
    if failures:
        unreachable = any(CONNECT in error.remedy for error in failures)
        raise DataError(f'{len(files) - here} of {len(files)} files are missing. The faults were:\n'
                        + listing([error.problem for error in failures], 5),
                        f'{CONNECT} ' * unreachable
                        + (by_hand or 'Run the same command again: it loads only the missing files.'))


def check(path: str | os.PathLike, file: RemoteFile) -> None:
    """Verify that a file here has the content of a public one.

    Raises:
        DownloadError: its size, git blob id or SHA-256 differs. Says what was expected and what came.
    """
    if fault := _difference(Path(path), file):
        raise DownloadError(f'{path} is not {file.path} of {file.repo} at commit {file.commit[:10]}: {fault}.',
                            f'The right file is at {mask(file.address)}.')


def _difference(path: Path, file: RemoteFile) -> str:
    """Say how the content of `path` differs from the expected one; empty if it does not."""
    size = path.stat().st_size
    blob, sha256 = hashlib.sha1(b'blob %d\0' % size, usedforsecurity=False), hashlib.sha256()
    with path.open('rb') as content:
        head = content.read(64)
        content.seek(0)
        while chunk := content.read(CHUNK):
            blob.update(chunk)
            sha256.update(chunk)
    came = {'bytes': size, 'git blob': blob.hexdigest(), 'SHA-256': sha256.hexdigest()}
    expected = {'bytes': file.size, 'git blob': file.blob, 'SHA-256': file.sha256}
    wrong = [name for name, value in expected.items() if value not in (None, '') and value != came[name]]
    if not wrong:
        return ''
    form = ''
    if head.startswith(b'version https://git-lfs'):
        form = ', which is a Git LFS pointer instead of the file'
    elif head.lstrip().lower().startswith((b'<!doctype html', b'<html')):
        form = ', which is a web page'
    return (f'expected {", ".join(f"{name} {expected[name]}" for name in wrong)}; '
            f'came {", ".join(f"{name} {came[name]}" for name in wrong)}{form}')


def _nothing(step: str, done: int, total: int) -> None:
    """Show no progress."""


@contextmanager
def one_process(place: Path) -> Iterator[None]:
    """Keep other processes from making the same file. Says so if it has to wait for one of them."""
    folder = cache_folder() / 'locks'
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(os.fsencode(place.resolve())).hexdigest()[:32]
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        note(f'wait for {place}', f'another process downloads {place}. This one waits for it.')
        lock.acquire()
    try:
        yield
        # Whoever gets the lock of a removed file sees that the download is there.
        with suppress(OSError):
            path.unlink()
    finally:
        lock.release()


def _download(file: RemoteFile, place: Path, show: Show, remedy: str) -> None:
    """Load a file, or the rest of a partial one, and give it its name after its content was verified."""
    part = place.with_name(f'.{place.name}.partial')
    for resumes in (True, False) if part.exists() else (False,):
        if not resumes:
            part.unlink(missing_ok=True)
        _load(file, part, show, remedy)
        fault = _difference(part, file)
        if not fault:
            patiently(lambda: os.replace(part, place))
            return
    part.unlink()
    raise DownloadError(f'{mask(file.address)} has another content than at commit {file.commit[:10]}: {fault}.',
                        f'Nothing was kept. {remedy}')


def _load(file: RemoteFile, part: Path, show: Show, remedy: str) -> None:
    """Append to `part` what it lacks. Continues after faults of the connection."""
    from huggingface_hub.errors import HTTPError  # of httpx or httpx2, whichever this version of the hub uses

    address, step, failures = file.address, f'{Path(file.path).name} (kB)', 0
    mask_log('huggingface_hub.utils._http')
    while True:
        begin = part.stat().st_size if part.exists() else 0
        if file.size and begin >= file.size:
            return
        try:
            _request(address, part, begin, file.size, lambda done, total: show(step, done, total))
            return
        except HTTPError as error:
            response, came = getattr(error, 'response', None), mask(str(error)) or type(error).__name__
            failures = 0 if part.exists() and part.stat().st_size > begin else failures + 1
            if response is not None:
                came = f'status {response.status_code} {response.reason_phrase}'
            if response is not None or failures > RETRIES:
                lost = CONNECT if response is None else _where_else(file) if response.status_code == 404 else ''
                raise DownloadError(f'{mask(address)} cannot be loaded: {came}.', f'{lost} {remedy}'.lstrip()) from None
            host = urlsplit(address).hostname
            note(f'no answer of {host}', f'{host}: {came}. Trying again.')
            time.sleep(WAIT * 2 ** max(failures - 1, 0))


def _where_else(file: RemoteFile) -> str:
    """Say where a file may be that a server does not have."""
    home = f'{HOST}/{file.repo}/{file.commit}/{quote(file.path)}'
    if file.address == home:
        return f'Its authors may have removed it: see https://github.com/{file.repo}.'
    return f'The mirror of VLFUSION_MIRROR lacks it; the original is {home}.'


def _request(address: str, part: Path, begin: int, size: int | None, show: Callable[[int, int], None]) -> None:
    """Ask a server for a file from byte `begin` on, and write what it sends to `part`."""
    from huggingface_hub import constants
    from huggingface_hub.utils import http_stream_backoff

    # A part of a compressed body would be of no use.
    headers = {'Accept-Encoding': 'identity', **({'Range': f'bytes={begin}-'} if begin else {})}
    with http_stream_backoff('GET', address, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
                             max_retries=RETRIES, base_wait_time=WAIT, retry_on_exceptions=(),
                             retry_on_status_codes=BUSY) as response:
        if begin and response.status_code == 416:  # the part has all bytes, or too many
            return
        response.raise_for_status()
        if response.status_code != 206:  # the server sends the whole file
            begin = 0
        total = size or begin + int(response.headers.get('Content-Length', 0))
        with part.open('r+b' if begin else 'wb') as output:
            output.seek(begin)
            show(begin // 1000, total // 1000)
            for chunk in response.iter_bytes():
                output.write(chunk)
                show(output.tell() // 1000, total // 1000)
                if size and output.tell() > size:  # another file, perhaps without an end
                    return
