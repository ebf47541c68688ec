"""The report shows every table, figure and picture, runs nothing of a name, and fits every screen."""

import base64
import json
import re
import sys
import warnings
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from vlfusion.analysis.leaderboard import TIE, Leaderboard
from vlfusion.analysis.statistics import compare
from vlfusion.benchmark.results import Cost, PairResult, SetResult
from vlfusion.errors import ConfigError, DataError
from vlfusion.testing.toys import draw_pairs

for package in ('jinja2', 'matplotlib', 'scikit_posthocs', 'statsmodels'):
    pytest.importorskip(package, reason="pip install 'vlfusion[benchmark]'")

from vlfusion.analysis.ablation import Ablation, Change, Effect  # noqa: E402
from vlfusion.analysis.diagram import critical_difference, distribution, svg  # noqa: E402
from vlfusion.benchmark import report  # noqa: E402

pytestmark = pytest.mark.slow  # reports are built, and opened in a browser
#: What would run, break out of an attribute, of a script, of LaTeX's dollars or of a format, were it not escaped.
HOSTILE = '<script>alert(1)</script>"\' $x_ </title> {{7*7}} {x}'
PLAIN = 'Harvard/PET & MRI'
NAMES = [*(f'{index:02}' for index in range(9)), 'sub/<b>#%41']


def make_set(folder, name, seed):
    """Ten pairs; `best` wins under EN, `best` and the hostile name tie under CE (better lower), `partial` has no CE."""
    generator = np.random.default_rng(seed)
    draw_pairs(folder, NAMES, 'A', 'B', seed=seed)
    methods = ['best', HOSTILE, 'partial']
    for index in range(len(methods)):
        draw_pairs(folder / f'fused {index}', NAMES, 'grey', 'colour', seed=seed + 10 + index)
    spread = generator.normal(0, 0.3, len(NAMES))
    alternating = 0.01 * (-1.) ** np.arange(len(NAMES)) * (1 + np.arange(len(NAMES)))
    scores = {'EN': {'best': 7 + spread, HOSTILE: 6 + spread, 'partial': 5 + spread},
              'CE': {'best': 1 + spread, HOSTILE: 1 + spread + alternating}}
    whole = scores['CE'] | {'partial': np.where(np.arange(len(NAMES)) == 3, np.nan, 2.)}
    rows = {method: [{'name': pair, 'protocol': 'plain.1', 'EN': scores['EN'][method][i].item(),
                      'CE': whole[method][i].item()} for i, pair in enumerate(NAMES)] for method in methods}
    rows['control: mean'] = [{'name': pair, 'control': 'mean', 'protocol': 'plain.1', 'EN': 4., 'CE': 3.}
                             for pair in NAMES]
    comparisons = {'EN': compare(scores['EN']), 'CE': compare(scores['CE'], higher=False)}
    board = Leaderboard('plain.1', len(NAMES), comparisons, 0.05,
                        {'control: mean': {'EN': 4., 'CE': 3.}, 'printed: FILM': {'EN': 6.25}},
                        {'broken': f'CheckpointError: {HOSTILE}'})
    pairs = [PairResult(pair, folder / f'A/{pair}.png', folder / f'B/{pair}.png',
                        {method: folder / f'fused {index}/colour/{pair}.png' for index, method in enumerate(methods)},
                        {'pair': f'A text about {pair}. {HOSTILE}'} if pair != '00' else {}) for pair in NAMES]
    size = dict(height=48, width=56, pairs=10, device='cpu')
    costs = [Cost(method='best', parameters=12_300_000, macs=None, seconds=0.0123, memory=None, **size),
             Cost(method=HOSTILE, parameters=0, macs=10 ** 9, seconds=0.1, memory=2 ** 21, **size)]
    ways = {'plain': {'best': 1., HOSTILE: 2., 'partial': 3.}, 'film': {'best': 1., HOSTILE: 3., 'partial': 2.}}
    subset = Leaderboard('plain.1', 5, {'EN': compare({method: of[:5] for method, of in scores['EN'].items()})}, 0.05)
    return SetResult(name, 'mif', board, rows, pairs, costs, ways, {'<i>PET': subset})


def make_ablation(folder):
    cv2.imwrite(str(folder / 'map.png'), np.full((8, 8), 99, np.uint8))
    effects = {'EN': Effect(6.5, -0.25, (-0.3, -0.2), 0.01), 'CE': Effect(1.5, 0.1, (-0.1, 0.3), 0.4)}
    return Ablation(
        title=f'FILM {HOSTILE}', dataset='MSRS', images=16, protocol='film.1', alpha=0.05, sensitivity=0.42,
        interval=(0.31, 0.55), changes={'swapped': Change(0.42, (0.31, 0.55), 12., 0.2)}, effects={'swapped': effects},
        maps={'swapped': folder / 'map.png'})


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp('results')
    return folder, [make_set(folder / 'one', PLAIN, 1), make_set(folder / 'two', HOSTILE, 2)]


@pytest.fixture(scope='module')
def path(results):
    folder, sets = results
    path = folder / 'out/report.html'
    report.write_report(path, sets, {'seed': 3, 'note': HOSTILE, 'path': Path('a')}, make_ablation(folder),
                        title=HOSTILE, image_side=40)
    return path


class Page(HTMLParser):
    """The text outside of scripts and styles, all ids, and the contents of blocks of JSON."""

    def __init__(self, text):
        super().__init__()
        self.text, self.ids, self.blocks, self.scripts, self.open = '', [], {}, 0, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.text += ' ' * (tag == 'br')
        self.ids += [attributes['id']] if 'id' in attributes else []
        if tag in ('script', 'style'):
            self.open = attributes.get('id', '')
            self.scripts += tag == 'script' and 'type' not in attributes

    def handle_endtag(self, tag):
        if tag in ('script', 'style'):
            self.open = None
        self.text += ' ' * (tag in ('td', 'th', 'p', 'dt', 'dd'))

    def handle_data(self, data):
        if self.open is None:
            self.text += data
        elif self.open:
            self.blocks[self.open] = json.loads(data)


@pytest.fixture(scope='module')
def page(path):
    return Page(path.read_text(encoding='utf-8'))


def test_tables_say_what_the_board_says(page):
    text = ' '.join(page.text.split())
    assert '10 images, protocol plain.1, alpha 0.05' in text
    assert 'EN ↑' in text.replace('\xa0', ' ') and 'CE ↓' in text.replace('\xa0', ' ')
    assert 'n/a' in text and 'printed: FILM takes no part 6.25' in text and 'control: mean takes no part 4 3' in text
    assert 'p of any difference' in text and 'not finite for some images and not compared: partial' in text
    assert '12.3 M' in text and '12.3 ms' in text and '2.0 MiB' in text and '56 × 48' in text
    assert f'{PLAIN}: <i>PET: 5 images' in text  # a subset, which has too few images to tell methods apart
    assert '5 images cannot show a difference in 3 comparisons' in text
    assert 'no, 1 place' in text and 'yes' in text


def test_the_first_page_says_what_was_found_and_shows_a_pair(results, page, path):
    _, sets = results
    text, held = ' '.join(page.text.split()), path.read_text(encoding='utf-8')
    assert 'On 10 pairs best is significantly better than every other method in 1 of 2 metrics (EN).' in text
    assert 'In CE, no two methods differ significantly. ' in text
    assert 'Doubt By the mean rank over the metrics, best stands first (1.00), but may take places 1–2' in text
    assert text.index('On 10 pairs') < text.index('Means over the images') and 'broken failed.' in text
    strip = held.partition('<div class="strip"')[2].partition('</div>')[0]
    captions = [Page(part).text for part in re.findall(r'<figcaption>(.*?)</figcaption>', strip)]
    assert captions[:3] == ['source A: MRI', 'source B: CT, PET or SPECT', 'best places 1–2 of 2']
    assert captions[3:] == [f'{HOSTILE} places 1–2 of 2', 'partial', 'control: mean made by no method']
    order = ['class="strip"', 'class="differs"', 'class="ties"', 'class="doubts"', 'class="places"', 'leaderboard">']
    assert strip.count('src="data:image/webp') == 6 and sorted(order, key=held.index) == order
    plainer = [min(cv2.imread(str(path), 0).std() for path in (pair.source_a, pair.source_b))
               for pair in sets[0].pairs]
    assert f'The pair <a href="#Harvard%2FPET%20%26%20MRI/{NAMES[np.argmax(plainer)]}"' in held


def test_the_control_of_the_strip_is_made_of_the_pair_in_the_colours_of_results(results, tmp_path):
    """Many methods: the first and the last stand in the strip, and the control that beats them most."""
    _, sets = results
    references = {'control: mean': {'EN': 4., 'CE': 3.}, 'control: noisy mean': {'EN': 9., 'CE': 0.}}
    names = [f'm{index}' for index in range(9)]
    board = replace(sets[0].board, references=references, failures={}, comparisons={
        'EN': compare({name: np.arange(10.) - index for index, name in enumerate(names)})})
    pair = sets[0].pairs[4]
    pairs = [replace(pair, fused=dict.fromkeys(names, pair.fused['best']))]
    rows = {name: [{'name': pair.name, 'EN': 1.}] for name in names}
    shown = report._strip(replace(sets[0], board=board, rows=rows, pairs=pairs), report._Pictures(tmp_path, 320, 90))
    assert [one['name'] for one in shown['pictures'][2:]] == [*names[:5], 'm8', 'control: noisy mean']
    assert shown['left_out'] == 3
    held = base64.b64decode(shown['pictures'][-1]['picture'].partition(',')[2])
    control = cv2.imdecode(np.frombuffer(held, np.uint8), cv2.IMREAD_COLOR)
    sources = [cv2.imread(str(path)) for path in (pair.source_a, pair.source_b)]
    grey = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(int) for image in (*sources, control)]
    assert 4 < (grey[2] - (grey[0] + grey[1]) / 2).std() < 14, 'noise of 10 grey levels'
    assert control.std(2).mean() > 5 and sources[1].std(2).mean() > 5, 'the chroma of source B'


def test_a_source_is_called_what_it_is(results, tmp_path):
    _, sets = results
    pairs = [replace(pair, modalities=('', 'PET')) for pair in sets[0].pairs]
    report.write_report(tmp_path / 'report.html', [replace(sets[0], pairs=pairs)], {})
    block = Page((tmp_path / 'report.html').read_text()).blocks['pair-0-0']
    assert [one['name'] for one in block['sources']] == ['source A: MRI', 'source B: PET']


def test_a_column_has_one_number_of_decimals_and_times_a_unit_that_fits(results, tmp_path):
    _, sets = results
    costs = [replace(sets[0].costs[0], seconds=seconds) for seconds in (7.74, 0.0123, 130, 3e-5)]
    references = {'control: mean': {'EN': 4., 'CE': 3.125}, 'printed': {'EN': 6.25}}
    board = replace(sets[0].board, references=references)
    report.write_report(tmp_path / 'report.html', [replace(sets[0], board=board, costs=costs)], {})
    text = (tmp_path / 'report.html').read_text(encoding='utf-8')
    for time in ('7.74 s', '12.3 ms', '2 min 10 s', '30 µs'):
        assert f'>{time}</td>' in text
    table = text.partition('leaderboard">')[2].partition('</table>')[0]
    cells = [re.findall(r'<td data-sort="[^"]+"[^>]*?(?: data-pad="(.*?)")?>([\d.]+)', line)
             for line in table.splitlines() if 'rowheader' in line]
    decimals = [{len((number + pad).partition('.')[2]) for row in cells[:2] + cells[4:]
                 for pad, number in row[at:at + 1]} for at in range(2)]
    assert decimals == [{3}, {3}], 'but what a paper did not print is only left room for'
    assert '>6.25</td>' in table and 'data-pad="0">6.25' in table


def test_bold_and_ties(path):
    table = path.read_text(encoding='utf-8').partition('leaderboard">')[2].partition('</table>')[0]
    lines = [line for line in table.splitlines() if 'rowheader' in line]
    best, hostile, partial = (re.findall(r'<td data-sort.*?</td>', line) for line in lines[:3])
    assert 'class="best"' in best[0] and '(1)' in best[0] and 'class="best"' not in ''.join([*best[1:], *hostile])
    assert '>=</b>' in best[1] and '>=</b>' in hostile[1] and '>n/a</td>' in partial[1]
    assert 'failed:' in lines[3] and 'colspan="3"' in lines[3]


def test_the_warning_is_shown(results, tmp_path):
    folder, sets = results
    board = replace(sets[0].board, images=3)
    report.write_report(tmp_path / 'report.html', [replace(sets[0], board=board, pairs=sets[0].pairs[:1])], {})
    assert board.warning and board.warning in Page((tmp_path / 'report.html').read_text()).text


def test_names_are_never_code(path, page):
    text = path.read_text(encoding='utf-8')
    assert '<script>alert' not in text and page.scripts == 3
    assert text.count('<b>#') == 0 and HOSTILE in page.text and '49' not in page.text.partition('</title>')[0]
    assert HOSTILE in page.blocks['index']['sets'][1]['name']
    assert '$x_' in text.partition('<figure')[2].partition('</svg>')[0]  # nor do dollars begin a formula


def test_every_id_is_one(page):
    assert len(page.ids) == len(set(page.ids))


def test_pairs_have_copies_scores_and_texts(results, page):
    folder, sets = results
    block = page.blocks['pair-0-9']
    assert [one['name'] for one in block['sources']] == ['source A: MRI', 'source B: CT, PET or SPECT']
    assert [one['name'] for one in block['results']] == ['best', HOSTILE, 'partial', 'broken']
    assert block['texts'] == [['pair', f'A text about {NAMES[9]}. {HOSTILE}']]
    best, hostile, _, broken = block['results']
    assert broken['problem'] == f'CheckpointError: {HOSTILE}' and not broken['picture']
    assert best['scores'][0][1] and not hostile['scores'][0][1]
    kind, _, data = best['picture'].partition(',')
    image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
    original = cv2.imread(str(sets[0].pairs[9].fused['best']))
    assert kind == 'data:image/webp;base64' and image.shape == (34, 40, 3) and best['height'] == 48
    assert np.abs(cv2.resize(original, (40, 34), interpolation=cv2.INTER_AREA).astype(int) - image).mean() < 8
    assert page.blocks['pair-0-3']['results'][2]['scores'][1] == ['nan', False]
    assert best['link'] == './../one/fused%200/colour/sub/%3Cb%3E%23%2541.png'


def test_worst_and_best_follow_the_direction(results):
    _, sets = results
    values = {metric: [row[metric] for row in sets[0].rows['best']] for metric in ('EN', 'CE')}
    worst, best = report._extremes(sets[0], 'best', 'EN', '')
    assert worst[0][0] == NAMES[np.argmin(values['EN'])] and best[0][0] == NAMES[np.argmax(values['EN'])]
    worst, best = report._extremes(sets[0], 'best', 'CE', '')
    assert worst[0][0] == NAMES[np.argmax(values['CE'])] and best[0][0] == NAMES[np.argmin(values['CE'])]
    assert NAMES[3] not in [name for name, *_ in sum(report._extremes(sets[0], 'partial', 'CE', ''), [])]


def test_ablation(page):
    text = ' '.join(page.text.split())
    assert 'Did the text do anything? FILM' in text and '0.42 grey levels on average' in text
    assert '-0.25 [-0.3, -0.2] p 0.01' in text and '+0.1 [-0.1, +0.3] p 0.4' in text


def test_one_method_alone_has_nothing_to_differ_from(results, tmp_path):
    _, sets = results
    values = np.array([row['EN'] for row in sets[0].rows['best']])
    board = Leaderboard('plain.1', len(NAMES), {'EN': compare({'best': values})}, 0.05)
    report.write_report(tmp_path / 'report.html', [replace(sets[0], board=board, costs=[], subsets={})], {})
    text = (tmp_path / 'report.html').read_text()
    assert text.count('role="img"') == 1 and 'class="best"' not in text
    assert f'>{TIE}</b>' not in text.partition('<tbody')[2].partition('</table>')[0] and 'class="places"' not in text


def test_the_same_results_give_the_same_bytes(results, tmp_path):
    _, sets = results
    for name in 'ab':
        report.write_report(tmp_path / f'{name}.html', sets[:1], {'seed': 0})
    assert (tmp_path / 'a.html').read_bytes() == (tmp_path / 'b.html').read_bytes()


def test_a_picture_that_cannot_be_read_says_why(results, tmp_path):
    _, sets = results
    (tmp_path / 'bad.png').write_bytes(b'no image')
    pair = replace(sets[0].pairs[0], source_b=tmp_path / 'bad.png', fused={'best': tmp_path / 'absent.png'})
    report.write_report(tmp_path / 'report.html', [replace(sets[0], pairs=[pair])], {})
    block = Page((tmp_path / 'report.html').read_text()).blocks['pair-0-0']
    assert 'Cannot decode' in block['sources'][1]['problem'] and 'absent.png' in block['results'][0]['problem']
    assert block['results'][1]['problem'] == 'There is no result.'


def test_sixteen_bits(tmp_path):
    cv2.imwrite(str(tmp_path / 'deep.png'), np.full((20, 30), 128 * 257, np.uint16))
    found = report._Pictures(tmp_path, 640, 90)(tmp_path / 'deep.png')
    image = cv2.imdecode(np.frombuffer(base64.b64decode(found['picture'].partition(',')[2]), np.uint8), 0)
    assert image.shape == (20, 30) and np.abs(image.astype(int) - 128).max() <= 2 and found['link'] == './deep.png'


def test_what_is_missing_or_wrong(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match='quality of 1 to 100'):
        report.write_report(tmp_path / 'report.html', [], {}, quality=0)
    monkeypatch.setitem(sys.modules, 'jinja2', None)
    with pytest.raises(ConfigError, match=r"pip install 'vlfusion\[benchmark\]'"):
        report.write_report(tmp_path / 'report.html', [], {})
    assert not list(tmp_path.iterdir())


def test_diagrams(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    base = generator.normal(0, 1, 20)
    scores = {'far': base + 3, 'near': base + generator.normal(0, 0.01, 20), HOSTILE: base}
    compared = compare(scores)
    figure = critical_difference(scores, compared)
    figure.savefig(tmp_path / 'ranks.pdf', bbox_inches='tight')
    assert (tmp_path / 'ranks.pdf').read_bytes().startswith(b'%PDF')
    texts = [one.get_text() for one in figure.axes[0].texts]
    assert 'far  1.00' in texts[0] and any(HOSTILE in text for text in texts)
    # One bar, and it joins the two that do not differ.
    bars = [line for line in figure.axes[0].lines if line.get_marker() == 'o']
    assert len(bars) == 1 and len(bars[0].get_xdata()) == 2 and min(bars[0].get_xdata()) > 2
    lower = critical_difference(scores, compare(scores, higher=False), higher=False)
    assert '3.00  far' in [one.get_text() for one in lower.axes[0].texts]
    with pytest.raises(DataError, match='two methods or more'):
        critical_difference({'far': base}, compare({'far': base}))
    with pytest.raises(DataError, match='has near, but there are no scores'):
        critical_difference({'far': base, HOSTILE: base}, compared)
    boxes = distribution({'some': np.array([1., np.nan, 2.]), 'none': np.full(2, np.nan)}, 'EN ($)')
    drawn = svg(boxes, 'a "label" <b>', 'p1')
    assert 'EN ($)' in drawn and '<b>' not in drawn and drawn == svg(boxes, 'a "label" <b>', 'p1')
    assert set(re.findall(r'(?:href="|url\()#(.*?)["\)]', drawn)) <= set(re.findall(r' id="(.*?)"', drawn))
    strange = {'\ue8f0': base, **scores}  # no font has that letter
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        svg(critical_difference(strange, compare(strange)), 'label', 'p2')
        svg(distribution(strange, 'EN'), 'label', 'p3')
    monkeypatch.setitem(sys.modules, 'scikit_posthocs', None)
    with pytest.raises(ConfigError, match='scikit-posthocs'):
        critical_difference(scores, compared)


@pytest.fixture
def view(chromium, path):
    """The report in a browser; in the end there was no message on the console, and nothing was asked of a network."""
    context = chromium.new_context(viewport={'width': 1200, 'height': 800})
    tab = context.new_page()
    tab.set_default_timeout(5000)
    problems, requests = [], []
    tab.on('console', lambda message: problems.append(message.text))
    tab.on('pageerror', lambda error: problems.append(str(error)))
    tab.on('dialog', lambda dialog: (problems.append(f'dialog {dialog.message}'), dialog.dismiss()))
    tab.on('request', lambda request: requests.append(request.url))
    tab.goto(path.as_uri())
    yield tab
    context.close()
    assert problems == []
    assert {url.partition(':')[0] for url in requests} <= {'file', 'data', 'blob'}
    assert {url.partition('#')[0] for url in requests if url.startswith('file')} == {path.as_uri()}


def opened(tab, index=9, which='.set >> nth=0'):
    tab.click(f'{which} >> .pairs a >> nth={index}')
    tab.wait_for_selector('#pictures figure')
    return tab


def column(tab, number):
    return tab.eval_on_selector_all(f'.leaderboard >> nth=0 >> tbody:first-of-type tr td:nth-child({number})',
                                    'cells => cells.map((cell) => cell.textContent.trim())')


def transforms(tab):
    # Panzoom sets them with the next frame.
    tab.evaluate('() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))')
    return tab.eval_on_selector_all('#pictures .layers', 'all => all.map((one) => getComputedStyle(one).transform)')


def test_sorting_by_click_and_by_keyboard(view):
    from playwright.sync_api import expect
    first = '.leaderboard >> nth=0 >> tbody:first-of-type tr:first-child td:first-child'
    view.click('.leaderboard >> nth=0 >> th >> nth=1')
    expect(view.locator('.leaderboard >> nth=0 >> th >> nth=1')).to_have_attribute('aria-sort', 'descending')
    expect(view.locator(first)).to_have_text('best')
    means = [float(cell.split()[0]) for cell in column(view, 2)]
    assert means == sorted(means, reverse=True)
    view.focus('.leaderboard >> nth=0 >> th >> nth=1')
    view.keyboard.press('Enter')
    expect(view.locator(first)).to_have_text('partial')
    for _ in range(2):  # no value is last whichever way
        view.click('.leaderboard >> nth=0 >> th >> nth=2')
        expect(view.locator(first)).not_to_have_text('partial')
        assert column(view, 3)[-1] == 'n/a'
    assert 'broken' in view.inner_text('.leaderboard >> nth=0 >> .failures')


def test_nothing_is_decoded_before_a_pair_is_opened(view):
    assert view.evaluate('document.images.length') == 1 + 2 * 6  # the ablation's map, and a small strip of each set
    view.evaluate('scrollTo(0, 300)')
    opened(view)
    # Two sources and three results; what is to be laid over them has no source yet.
    assert view.evaluate("document.querySelectorAll('#pictures img[src]').length") == 5
    assert view.evaluate("Promise.all([...document.querySelectorAll('.own')].map((one) => one.decode())).then(() => 1)")
    assert view.is_hidden('#overview') and view.inner_text('#pair-head') == f'{PLAIN}: {NAMES[9]}'
    view.keyboard.press('Escape')
    view.wait_for_selector('#overview', state='visible')
    assert view.evaluate("document.querySelectorAll('#pictures img').length") == 0
    # The reader is where the pair was opened from.
    assert view.evaluate('scrollY') >= 300 and view.evaluate('document.activeElement.textContent') == NAMES[9]


def test_zoom_and_pan_move_every_picture(view):
    opened(view)
    assert set(transforms(view)) == {'matrix(1, 0, 0, 1, 0, 0)'}
    view.keyboard.press('+')
    assert len(found := transforms(view)) == 5 and len(set(found)) == 1
    scale = float(found[0].removeprefix('matrix(').split(',')[0])
    assert scale > 1.3 and view.inner_text('#scale') == f'{round(100 * scale)} %'
    box = view.locator('.frame').nth(3).bounding_box()
    view.mouse.move(box['x'] + 100, box['y'] + 100)
    view.mouse.down()
    view.mouse.move(box['x'] + 130, box['y'] + 80)
    view.mouse.up()
    assert len(set(found := transforms(view))) == 1
    # A picture follows the pointer pixel by pixel.
    assert [round(float(part)) for part in found[0].rstrip(')').split(',')[-2:]] == [30, -20]
    view.keyboard.press('Shift+ArrowLeft')
    assert round(float(transforms(view)[0].rstrip(')').split(',')[-2])) == 70
    view.keyboard.press('-')
    assert set(transforms(view)) == {'matrix(1, 0, 0, 1, 0, 0)'}
    view.click('#in')
    assert transforms(view)[0] != 'matrix(1, 0, 0, 1, 0, 0)'
    view.keyboard.press('0')
    assert set(transforms(view)) == {'matrix(1, 0, 0, 1, 0, 0)'}


def test_the_wheel_zooms_about_the_pointer_with_control_alone(view):
    from playwright.sync_api import expect
    opened(view)
    box = view.locator('.frame').nth(2).bounding_box()
    place = box['x'] + box['width'] / 4, box['y'] + box['height'] / 2
    view.mouse.move(*place)
    view.mouse.wheel(0, -100)
    assert set(transforms(view)) == {'matrix(1, 0, 0, 1, 0, 0)'}
    view.evaluate('scrollTo(0, 0)')
    view.keyboard.down('Control')
    view.mouse.wheel(0, -100)
    view.keyboard.up('Control')
    expect(view.locator('#scale')).not_to_have_text('100 %')
    found = [float(part) for part in transforms(view)[0].removeprefix('matrix(').rstrip(')').split(',')]
    # What was under the pointer, a quarter of the width left of the middle, stays there.
    assert found[4] == pytest.approx((found[0] - 1) * box['width'] / 4, abs=0.5) and abs(found[5]) < 0.5


def test_texts_stand_beside_the_pair(view):
    opened(view)
    assert view.inner_text('#texts h3') == 'pair' and view.inner_text('#texts p') == (
        f'A text about {NAMES[9]}. {HOSTILE}')
    beside = [view.locator(one).bounding_box() for one in ('#pictures', '#texts')]
    assert beside[1]['x'] >= beside[0]['x'] + beside[0]['width']
    view.select_option('#pair', '0')
    view.wait_for_selector('#texts', state='hidden')


def test_scores_and_failures_stand_under_the_pictures(view):
    opened(view)
    best = view.locator('figure.result').nth(0)
    assert best.locator('.name').inner_text() == 'best' and best.locator('dt').all_inner_texts() == ['EN ↑', 'CE ↓']
    assert best.locator('dd.best').count() >= 1
    broken = view.locator('figure.result').nth(3)
    assert HOSTILE in broken.inner_text() and broken.locator('img').count() == 0


def test_differences(view, results):
    opened(view)
    options = view.locator('#difference option').all_inner_texts()
    assert options == ['nothing', 'source A: MRI', 'source B: CT, PET or SPECT', 'best', HOSTILE, 'partial']
    view.keyboard.press('d')
    assert view.input_value('#difference') == 'source A: MRI'
    assert view.locator('.layers.difference').count() == 3
    blend = 'one => getComputedStyle(one).mixBlendMode'
    assert view.eval_on_selector('.result .over', blend) == 'difference'
    view.select_option('#difference', HOSTILE)  # a method takes no difference to itself
    assert view.locator('.layers.difference').count() == 2 and 'difference × 4' in view.inner_text('figure.result')
    view.uncheck('#grey')
    view.locator('#gain').fill('2')
    assert view.eval_on_selector('.layers.difference', 'one => getComputedStyle(one).filter') == 'brightness(2)'
    shown = picture_of(view, view.locator('figure.result .frame').first)
    _, sets = results
    one, other = (cv2.imread(str(sets[0].pairs[9].fused[method])).astype(int) for method in ('best', HOSTILE))
    expected = np.minimum(2 * np.abs(one - other), 255).mean((0, 1))
    assert np.abs(shown.mean((0, 1)) - expected).max() < 12  # copies are smaller and lossy
    view.locator('#difference').focus()
    view.keyboard.press('Escape')  # leaves the field, not the page
    view.keyboard.press('d')
    assert view.input_value('#difference') == '' and view.locator('.layers.difference').count() == 0


def picture_of(tab, frame):
    return cv2.imdecode(np.frombuffer(frame.screenshot(), np.uint8), cv2.IMREAD_COLOR)


def test_keys_go_through_the_pairs(view):
    from playwright.sync_api import expect
    opened(view, 8)
    view.keyboard.press('ArrowRight')
    expect(view.locator('#pair-head')).to_have_text(f'{PLAIN}: {NAMES[9]}')
    assert view.is_disabled('#next') and view.url.endswith('#Harvard%2FPET%20%26%20MRI/sub%2F%3Cb%3E%23%2541')
    view.keyboard.press('ArrowRight')
    view.keyboard.press('ArrowLeft')
    expect(view.locator('#pair-head')).to_have_text(f'{PLAIN}: 08')
    view.keyboard.press('?')
    assert view.is_visible('#shortcuts') and 'previous and next pair' in view.inner_text('#shortcuts')
    view.keyboard.press('ArrowLeft')  # nothing moves behind the list
    view.keyboard.press('Escape')
    assert view.is_hidden('#shortcuts') and view.inner_text('#pair-head').endswith('08')
    view.go_back()  # one step, however many pairs were looked at
    view.wait_for_selector('#overview', state='visible')
    opened(view, 0, '.set >> nth=1')
    assert view.inner_text('#pair-head') == f'{HOSTILE}: 00' and view.is_disabled('#previous')


def test_an_address_leads_to_its_pair_and_a_wrong_one_to_the_overview(view, path):
    view.goto('about:blank')
    view.goto(f'{path.as_uri()}#Harvard%2FPET%20%26%20MRI/03')
    assert view.inner_text('#pair-head') == f'{PLAIN}: 03'
    for wrong in ('Harvard%2FPET%20%26%20MRI/absent', '%', 'manifest'):
        view.evaluate(f'location.hash = {json.dumps(wrong)}')
        view.wait_for_selector('#overview', state='visible')


def test_links_to_worst_and_best_pairs(view):
    view.click('.extremes summary >> nth=0')
    view.click('.extremes >> nth=0 >> a >> nth=0')
    view.wait_for_selector('#pictures figure')
    assert view.inner_text('#pair-head').startswith(f'{PLAIN}: ')


@pytest.mark.parametrize('width', [390, 768, 1400])
def test_nothing_is_cut_at_any_width(view, width):
    view.set_viewport_size({'width': width, 'height': 800})
    assert view.evaluate('document.documentElement.scrollWidth') == width
    # What is wider than the page stands in a box that scrolls.
    shown = 'main p, main h2, figure, .scroll, summary'
    assert view.evaluate(f"""() => [...document.querySelectorAll('{shown}')].every((one) =>
        one.getBoundingClientRect().right <= innerWidth + 1)""")
    assert view.evaluate("[...document.querySelectorAll('table')].every((one) => one.parentNode.matches('.scroll'))")
    assert view.locator('.strip >> nth=0').bounding_box()['y'] < 400
    assert view.locator('.conclusion >> nth=0').bounding_box()['y'] < 1000


def test_dark_and_light(view):
    def brightness(what, selector='body'):
        colour = view.eval_on_selector(selector, f'one => getComputedStyle(one).{what}')
        return sum(map(int, re.findall(r'\d+', colour)[:3])) / 3

    opened(view)
    for scheme in ('light', 'dark'):
        view.emulate_media(color_scheme=scheme)
        light = brightness('backgroundColor'), brightness('color')
        assert (light[0] > 200 and light[1] < 80) if scheme == 'light' else (light[0] < 50 and light[1] > 200)
        for selector in ('td:first-child', '.bar', 'dialog', '#texts'):
            assert abs(brightness('backgroundColor', selector) - light[0]) < 20, selector
    view.emulate_media(media='print')
    assert brightness('backgroundColor') > 200, 'paper is white'
    view.emulate_media(media='screen', color_scheme='light')
    view.keyboard.press('Escape')
    view.focus('#scheme')
    for dark in (True, False):  # whatever the system has
        view.keyboard.press('Enter')
        assert (brightness('backgroundColor') < 50) == dark == (brightness('color') > 200)
    assert view.inner_text('#scheme') == 'Dark'


def test_print(view):
    view.emulate_media(media='print')
    assert view.is_hidden('nav') and view.is_visible('.leaderboard >> nth=0')
    assert view.locator('svg[role=img]').first.is_visible()
    assert view.pdf(format='A4').startswith(b'%PDF')
    view.emulate_media(media='screen')
    opened(view)
    view.emulate_media(media='print')
    assert view.is_hidden('.bar') and view.is_visible('#texts') and view.is_visible('figure.result >> nth=0')
    assert view.eval_on_selector('.frame', 'one => one.scrollWidth <= innerWidth')
