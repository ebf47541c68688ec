import os
import socket
import subprocess
import sys
import time

from vlfusion.language.claims import Claims


def test_a_record_is_claimed_once(tmp_path):
    first, second = Claims(tmp_path / 'claims'), Claims(tmp_path / 'claims')
    assert first.take('x') and not second.take('x')
    assert second.take('y')
    first.release('x')
    assert second.take('x')
    second.close()
    first.close()
    assert not list((tmp_path / 'claims').iterdir())


def test_the_claim_of_a_process_that_is_gone_is_taken_over(tmp_path):
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    (tmp_path / 'x').write_text(f'{socket.gethostname()} {gone.pid}')
    (tmp_path / 'y').write_text(f'{socket.gethostname()} {os.getppid()}')
    for name, age in (('.left', 400), ('.in_a_container', 10)):
        (tmp_path / name).write_text(f'{socket.gethostname()} {gone.pid}')
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    claims = Claims(tmp_path)
    assert claims.take('x') and not claims.take('y')
    claims.close()
    assert {path.name for path in tmp_path.iterdir()} == {'y', '.in_a_container'}, 'what lives stays'


def test_the_claim_of_another_machine_runs_out(tmp_path):
    for name, age in (('old', 400), ('fresh', 10)):
        (tmp_path / name).write_text('elsewhere 1')
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    claims = Claims(tmp_path, lease=300)
    assert claims.take('old') and not claims.take('fresh')
    claims.close()


def test_claims_that_are_held_stay_fresh(tmp_path):
    claims = Claims(tmp_path, lease=0.5)
    assert claims.take('x')
    os.utime(tmp_path / 'x', (0, 0))
    deadline = time.time() + 5
    while (tmp_path / 'x').stat().st_mtime == 0 and time.time() < deadline:
        time.sleep(0.02)
    assert (tmp_path / 'x').stat().st_mtime > 0
    claims.close()


def test_of_two_that_take_over_one_succeeds(tmp_path, monkeypatch):
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    (tmp_path / 'x').write_text(f'{socket.gethostname()} {gone.pid}')
    first, second = Claims(tmp_path), Claims(tmp_path)
    seen = first._left_behind

    def slow(path):  # the second takes the claim between the first's look and its hand
        found = seen(path)
        if path.name == 'x' and found:
            monkeypatch.setattr(first, '_left_behind', seen)
            assert second.take('x')
        return found

    monkeypatch.setattr(first, '_left_behind', slow)
    assert not first.take('x')
    assert Claims(tmp_path).take('x') is False, "the second's claim is back in its place"
    first.close()
    second.close()
