"""From names, addresses, files and configs to the checkpoint of a model, which is downloaded and converted once."""

import io
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from naming import install_models, write_checkpoint

from vlfusion.console.notes import new_run
from vlfusion.engine.checkpoints import load_model, read_experiment
from vlfusion.engine.named import add, is_converted, locate, obtain
from vlfusion.errors import CheckpointError, ConfigError, DownloadError, UnknownNameError
from vlfusion.testing.public_host import git_blob
from vlfusion.zoo.entries import Packaged, Pinned, find_model
from vlfusion.zoo.metadata import read_meta
from vlfusion.zoo.places import converted, is_here, not_here, original
from vlfusion.zoo.remote import one_process


@pytest.fixture
def released(host, install, tmp_path, monkeypatch):
    """The entry of a model whose weights are a file of the host."""
    monkeypatch.chdir(tmp_path)
    weights = io.BytesIO()
    torch.save({'net': {'weight': torch.full((1, 1, 3, 3), 0.1), 'bias': torch.zeros(1)}}, weights)
    file = host.add(weights.getvalue(), 'anna/conv', 'models/net.pth')
    install_models(install, 'n-', file, len(weights.getvalue()))
    return find_model('n-released')


def requested(host):
    return [path.rpartition('/')[2] for path, _ in host.requests]


def test_released_weights_are_downloaded_and_converted_once(released, host):
    assert not is_here(released) and 'n-released are not on this machine' in not_here('n-released')
    with pytest.raises(DownloadError, match='(?s)vlfusion is offline.*vlfusion models add n-released net.pth'):
        locate('n-released', offline=True)
    located = locate('n-released')
    assert located.file == converted(released) and located.entry == released and not not_here('n-released')
    assert requested(host) == ['net.pth']
    model, experiment = load_model('n-released')
    assert model.backbone.conv.weight.unique().tolist() == pytest.approx([0.1])
    assert (experiment['task'], experiment['protocol']) == ('ivf', 'film')
    assert experiment['origin'].endswith('released weights of net.pth')
    before = located.file.stat().st_mtime_ns
    assert obtain(released, offline=True) == located.file and located.file.stat().st_mtime_ns == before
    assert requested(host) == ['net.pth']


def test_no_licence_is_told_if_nothing_may_be_downloaded(released, caplog):
    new_run()
    for offline, told in ((True, 0), (False, 1), (False, 1)):
        with suppress(DownloadError):
            locate('n-released', offline=offline)
        assert caplog.text.count('Licence of the weights: MIT.') == told


def test_the_checkpoint_is_made_again_if_the_network_changes_or_it_is_damaged(released, host):
    obtain(released)
    other = replace(released, arguments={'gain': 2.0})
    assert is_converted(released) and not is_converted(other)
    assert is_converted(replace(released, tasks=('mff',), protocol='plain')), 'one checkpoint serves all tasks'
    assert obtain(other, offline=True) == converted(released)
    assert load_model('n-released')[0].backbone.gain == 1.0, 'the facts of the package count'
    assert 'gain' not in read_meta(converted(other))['made_of']['model']['backbone']
    for damage in (b'', b'\x08' + bytes(7) + b'{}      ', converted(released).read_bytes()[:-9]):
        converted(released).write_bytes(damage)
        assert load_model('n-released')[0].backbone.conv.bias.item() == 0
    assert requested(host) == ['net.pth'], 'the original is here'


def test_a_damaged_original_is_not_converted(released, host):
    obtain(released)
    converted(released).unlink()
    original(released.source.files[0]).write_bytes(b'damaged')
    with pytest.raises(DownloadError, match='vlfusion is offline'):
        obtain(released, offline=True)
    assert load_model('n-released')[0].backbone.conv.bias.item() == 0 and requested(host) == ['net.pth'] * 2


def test_files_that_were_fetched_by_hand(released, host, tmp_path):
    good = next(iter(host.files.values()))
    Path('downloaded.bin').write_bytes(good)
    Path('other.bin').write_bytes(good[:-1] + b'x')
    with pytest.raises(CheckpointError, match=r'(?s)of n-released:.*other.bin is not models/net.pth.*expected git'):
        add(released, [Path('other.bin')])
    assert not original(released.source.files[0]).exists() and not converted(released).exists()
    assert add(released, [Path('other.bin'), Path('downloaded.bin')]) == converted(released)
    assert locate('n-released', offline=True).file == converted(released) and host.requests == []
    with pytest.raises(CheckpointError, match='n-mean is not made of released files'):
        add(find_model('n-mean'), [Path('downloaded.bin')])


def test_one_of_two_files_is_missing(released):
    files = [replace(released.source.files[0], path=f'{name}.pth', blob=git_blob(name.encode()), size=1)
             for name in 'ab']
    entry = replace(released, source=Pinned(tuple(files)))
    Path('mine').write_bytes(b'a')
    with pytest.raises(CheckpointError) as error:
        add(entry, [Path('mine')])
    assert error.value.problem == 'These are not the files of n-released:\n    b.pth is missing.'


def test_who_waits_for_another_process_says_so(released, caplog):
    with ThreadPoolExecutor(1) as pool, one_process(converted(released)):
        waiting = pool.submit(obtain, released)
        while 'another process' not in caplog.text and not waiting.done():
            time.sleep(0.01)
    assert waiting.result() == converted(released) and 'This one waits for it.' in caplog.text


def test_the_licence_is_told_with_a_download_only(released, caplog):
    with pytest.raises(DownloadError, match='vlfusion is offline'):
        locate('n-released', offline=True)
    assert 'Licence' not in caplog.text
    locate('n-released')
    assert 'Licence of the weights: MIT' in caplog.text


def test_a_mirror_that_lacks_the_file(released, host):
    host.files.clear()
    with pytest.raises(DownloadError, match=r'(?s)404.*original is https://\S+/models/net.pth\..*vlfusion models add'):
        obtain(released)


def test_wrong_content_is_not_kept(released, host, tmp_path):
    [path] = host.files
    host.faults[path] = [b'x' * len(host.files[path])]
    with pytest.raises(DownloadError, match='(?s)another content.*Nothing was kept'):
        locate('n-released')
    assert list((tmp_path / 'home/downloads').iterdir()) == [] and not converted(released).exists()
    assert locate('n-released').file.is_file()


def test_weights_in_the_package(released, host):
    located = locate('n-packed')
    assert located.file == find_model('n-packed').source.path and located.experiment is None
    model, experiment = load_model('n-packed')
    assert next(model.parameters()).dtype == torch.float32, 'float16 in the file'
    assert experiment['protocol'] == 'plain' and host.requests == []
    located.file.unlink()
    with pytest.raises(CheckpointError, match='(?s)lacks packed.safetensors.*Install it again'):
        locate('n-packed')
    assert isinstance(located.entry.source, Packaged) and not not_here('n-packed'), 'nothing to download'


@pytest.mark.parametrize(('name', 'task'), [('n-mean', 'ivf'), ('n-mean-mff', 'mff'), ('n-mean-ivf', 'ivf')])
def test_a_model_without_weights_may_serve_several_tasks(released, name, task):
    located = locate(name)
    assert located.file is None and located.experiment['task'] == task == read_experiment(name)['task']
    assert not list(load_model(name)[0].parameters())


def test_a_config_a_checkpoint_and_what_was_located(released):
    assert locate('classical/laplacian_ivf').experiment['task'] == 'ivf'
    write_checkpoint('mine.safetensors', f'{released.package}.Conv')
    located = locate('mine.safetensors')
    assert located.file == Path('mine.safetensors') and located.entry is None
    assert locate(located) is located and load_model(located)[1]['task'] == 'ivf'
    with pytest.raises(ConfigError, match='has no task and no model'):
        locate('_base_/runtime')


@pytest.mark.parametrize(('name', 'error', 'said'), [
    ('n-pakced', CheckpointError, '(?s)n-pakced is neither a checkpoint nor.*Did you mean n-packed?'),
    ('N_Packed', CheckpointError, '(?s)Did you mean n-packed?'),
    ('n-packed.pth', CheckpointError, r'(?s)No checkpoint at n-packed.pth.*Did you mean n-packed\?'),
    ('./n-packed', CheckpointError, 'neither'), ('sub/n-packed', CheckpointError, 'neither'),
    ('nobody.n-packed', CheckpointError, r'(?s)no model has that name.*Did you mean n-packed\?'),
    ('', CheckpointError, 'No checkpoint'),
    ('hf://only-a-name', DownloadError, 'no address on the Hugging Face hub')])
def test_names_that_nobody_has(released, name, error, said):
    with pytest.raises(error, match=said):
        locate(name)


def test_a_file_wins_over_a_name_and_a_name_over_a_folder(released, caplog):
    Path('n-packed').mkdir()
    assert locate('n-packed').entry
    Path('n-packed').rmdir()
    write_checkpoint('mine.safetensors', f'{released.package}.Conv')
    model = dict(type='FusionModel', backbone=dict(type=f'{released.package}.Conv'))
    torch.save(dict(state_dict=load_model('mine.safetensors')[0].state_dict(),
                    meta=dict(vlfusion=dict(task='mif', model=model))), 'n-packed')
    new_run()
    assert locate('n-packed').entry is None and locate('n-packed').file == Path('n-packed')
    assert 'n-packed is a file here, and is taken instead of the model of this name' in caplog.text
    assert load_model('n-packed')[1]['task'] == 'mif' and load_model(f'{released.package}.n-packed')[1]['task'] == 'ivf'


def test_two_packages_with_one_name(released, install):
    other = install_models(install, 'n-').name
    with pytest.raises(UnknownNameError, match=rf'ambiguous.*\n.*{released.package}\.n-packed.*{other}\.n-packed'):
        locate('n-packed')
    for package in (released.package, other):
        assert locate(f'{package}.n-packed').entry.package == package
        assert load_model(f'{package}.n-mean-mff')[1]['task'] == 'mff'
    assert locate('n-released').entry == released, 'one package has it'
