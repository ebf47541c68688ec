"""Models by name whose released files are here: fetched, verified, converted, kept, and fused to a released picture."""

from pathlib import Path

import numpy as np
import pytest

from vlfusion import Fuser
from vlfusion.cli import main
from vlfusion.console.notes import new_run
from vlfusion.imaging.images import read_image
from vlfusion.testing.public_host import git_blob
from vlfusion.testing.shared import shared
from vlfusion.zoo.entries import get_model
from vlfusion.zoo.places import converted, original

#: Name, sources and the authors' picture; largest difference in grey levels, largest share of pixels that differ.
PICTURES = [
    ('datfuse-ivf', 'ivf_2_infrared.bmp', 'ivf_2_visible.bmp', 'ivf_2_fused.bmp', 1, 0.001),
    ('didfuse-ivf', 'ivf_1_infrared.jpg', 'ivf_1_visible.jpg', 'ivf_1_fused.png', 1, 0.001),
    ('seafusion-ivf', 'ivf_08_infrared.png', 'ivf_08_visible.png', 'ivf_08_fused.png', 1, 0.0001),
    ('ifcnn-ivf', 'ivf_Camp_infrared.png', 'ivf_Camp_visible.png', 'ivf_Camp_fused.png', 1, 0.16),
    ('ifcnn-mif', 'mif_c01_1.tif', 'mif_c01_2.tif', 'mif_c01_fused.png', 1, 0.16),
    ('ffmef-mef', 'AirBellowsGap_B.png', 'AirBellowsGap_A.png', 'AirBellowsGap_fused.png', 23, 0.22),  # in colour
]
#: These have no picture of their authors.
OTHERS = ['ifcnn-mff', 'ffmef-mff', 'ffmef-ivf']


def serve(host, name):
    """Serve the released files of a model at their real paths, and return the folder that holds them."""
    entry, folder = get_model(name), shared(f'zoo/{name.partition("-")[0]}')
    for file in entry.source.files:
        host.files[f'/{file.repo}/{file.commit}/{file.path}'] = (folder / Path(file.path).name).read_bytes()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(('name', 'a', 'b', 'picture', 'largest', 'share'), PICTURES, ids=[row[0] for row in PICTURES])
def test_a_name_fuses_to_the_authors_picture(host, tmp_path, caplog, name, a, b, picture, largest, share):
    folder, entry, out = serve(host, name), get_model(name), tmp_path / 'fused.png'
    new_run()
    command = ['fuse', name, str(folder / a), str(folder / b), '-o', str(out)]
    assert main(command) == 0
    fused, theirs = (np.atleast_3d(read_image(path)).astype(int) for path in (out, folder / picture))
    difference = np.abs(fused - theirs[..., :fused.shape[2]])
    assert difference.max() <= largest and (difference > 0).mean() < share
    assert f'Licence of the weights: {entry.licence}.' in caplog.text
    assert [git_blob(original(file).read_bytes()) for file in entry.source.files] \
        == [file.blob for file in entry.source.files]
    assert converted(entry).is_file() and len(host.requests) == len(entry.source.files)

    out.unlink()
    caplog.clear()
    new_run()
    assert main(command) == 0 and out.is_file()
    assert len(host.requests) == len(entry.source.files), 'the second use asks for nothing'
    assert 'Licence' not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize('name', OTHERS)
def test_the_other_names_load(host, name):
    serve(host, name)
    fuser = Fuser(name)
    assert fuser.task.name == get_model(name).tasks[0] and len(host.requests) == 1


@pytest.mark.slow
def test_two_models_of_one_file_load_it_once(host):
    serve(host, 'ifcnn-ivf')
    for name in ('ifcnn-ivf', 'ifcnn-mif', 'ifcnn-mff'):
        assert main(['models', 'get', name]) == 0
    assert len(host.requests) == 1


def test_files_are_added_by_hand(host, tmp_path, capsys):
    folder, entry = shared('zoo/didfuse'), get_model('didfuse-ivf')
    encoder, decoder = (folder / f'{part}_weight_IJCAI.pkl' for part in ('Encoder', 'Decoder'))
    wrong = tmp_path / 'other.pkl'
    wrong.write_bytes(decoder.read_bytes()[:-1])
    assert main(['models', 'add', 'didfuse-ivf', str(encoder), str(wrong)]) == 2
    said = capsys.readouterr().err
    assert f'{wrong} is not Models/Decoder_weight_IJCAI.pkl of Zhaozixiang1228/IVIF-DIDFuse' in said
    assert 'expected bytes 600772, git blob 8c23399b' in said
    assert f'came bytes 600771, git blob {git_blob(wrong.read_bytes())}' in said
    assert not converted(entry).exists() and not any(original(file).exists() for file in entry.source.files)

    (tmp_path / 'renamed').write_bytes(decoder.read_bytes())
    assert main(['models', 'add', 'didfuse-ivf', str(tmp_path / 'renamed'), str(encoder)]) == 0  # in any order
    assert str(converted(entry)) in capsys.readouterr().out
    assert Fuser('didfuse-ivf').task.name == 'ivf' and host.requests == []


def test_wrong_content_is_refused_and_nothing_stays(host, tmp_path, capsys):
    serve(host, 'datfuse-ivf')
    path, = host.files
    host.files[path] = host.files[path][:-1] + b'?'
    assert main(['models', 'get', 'datfuse-ivf']) == 2
    said = capsys.readouterr().err
    assert f'{host.address}{path} has another content' in said and 'expected git blob 7baa8da4' in said
    assert 'vlfusion models add datfuse-ivf model_10.pth' in said
    assert [file for file in (tmp_path / 'home').rglob('*.pth')] == []
