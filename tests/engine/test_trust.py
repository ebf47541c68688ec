"""A checkpoint is a stranger's file: what it asks for beyond itself is shown and refused, and nothing is sent."""

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion import Fuser
from vlfusion.cli import main
from vlfusion.config import load_config
from vlfusion.data.pairs import Pair
from vlfusion.engine.checkpoints import load_model, read_experiment, to_fuse
from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.engine.states import write_state
from vlfusion.engine.trust import check_model
from vlfusion.errors import CheckpointError, ConfigError, VLFusionError
from vlfusion.language.captioners import OpenCLIPTagger, TransformersCaptioner
from vlfusion.language.encoders import OpenCLIPTextEncoder, SentenceTransformersEncoder, TransformersTextEncoder
from vlfusion.language.encoders.transformers_encoder import packaged
from vlfusion.language.keys import Keys
from vlfusion.language.llms.transformers_llm import TransformersLLM
from vlfusion.language.llms.vllm_llm import VLLMLLM
from vlfusion.language.store import TextStore
from vlfusion.language.subjects import content_of, subjects_of
from vlfusion.models.backbones import FILM, TimmFusion
from vlfusion.registry import CAPTIONERS, LLMS, MODELS, TEXT_ENCODERS
from vlfusion.testing.toys import draw_pairs

PACKAGED = dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2')
LANGUAGE = dict(store='data/text', captioners=[dict(type='MeasuredCaptioner')], llm=dict(type='TemplateLLM'),
                prompt='paragraph', encoder=PACKAGED)
BACKBONE = dict(type='FILM', text_dim=384, guidance_grid=[16, 32])


@pytest.fixture
def server(monkeypatch):
    """A server that remembers what it is asked; every address that a checkpoint could ask for leads to it."""
    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            self.server.asked.append((self.path, dict(self.headers), self.rfile.read(
                int(self.headers.get('content-length') or 0))))
            self.send_response(404)
            self.end_headers()
        do_GET = do_POST = do_HEAD = answer

        def log_message(self, *args):
            pass
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.asked, server.address = [], f'http://127.0.0.1:{server.server_port}'
    threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True).start()
    monkeypatch.setenv('HF_ENDPOINT', server.address)
    monkeypatch.setenv('OPENAI_API_KEY', 'sk-of-the-user')
    monkeypatch.setenv('PRIVATE', 'word-of-the-user')
    yield server
    server.shutdown()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, with a pair of images, a home, and no text store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('VLFUSION_HOME', str(tmp_path / 'home'))
    draw_pairs(tmp_path, ['p'])
    return tmp_path


#: Both forms of a checkpoint.
FORMS = pytest.mark.parametrize('checkpoint', ['stranger.pth', 'stranger.safetensors'])


def write(path, backbone=BACKBONE, language=None, text_source=None, **model):
    """A checkpoint of a tiny FILM with these sections."""
    state = {f'backbone.{key}': value for key, value in FILM(text_dim=384, guidance_grid=(16, 32)).state_dict().items()}
    experiment = dict(task='ivf', model=dict(type='FusionModel', backbone=backbone, **model),
                      text_source=text_source or dict(stream='pair/paragraph'))
    write_state(path, state, dict(vlfusion=experiment | (dict(language=language) if language else {})))
    return str(path)


def rewrite(path, **sections):
    """Change the experiment of a checkpoint."""
    content = load_checkpoint_file(path)
    content['meta']['vlfusion'] |= sections
    write_state(path, content['state_dict'], content['meta'])


def fuse(checkpoint, *options):
    return main(['fuse', checkpoint, 'ir/p.png', 'vi/p.png', '-o', 'fused.png', *options])


#: What each language section asks for besides a part that needs nothing, and what the message has to show of it.
ASKED = {
    'key': (dict(llm=dict(type='OpenAILLM', model='m', base_url='{url}/v1', api_key_env='PRIVATE')), 'PRIVATE'),
    'own key': (dict(llm=dict(type='OpenAILLM', model='m')), 'OpenAILLM'),
    'key file': (dict(llm=dict(type='OpenAILLM', model='m', base_url='{url}/v1', api_key_file='ir/p.png')), 'ir/p.png'),
    'images': (dict(captioners=[dict(type='MeasuredCaptioner'), dict(type='OpenAICaptioner', model='m',
                                                                     base_url='{url}/v1')]), 'captioners[1]'),
    'one captioner': (dict(captioners=dict(type='OpenAICaptioner', model='m', base_url='{url}/v1')), 'captioners[0]'),
    'prompt': (dict(prompt='ir/mine.v1.md'), 'mine.v1.md'),
    'hub encoder': (dict(encoder=dict(type='TransformersTextEncoder', model='a/b')), 'a/b'),
    'encoder of instructions': (dict(instruction_encoder=dict(type='TransformersTextEncoder', model='a/b')), 'a/b'),
    'folder encoder': (dict(encoder=dict(type='TransformersTextEncoder', model='ir')), "'ir'"),
    'inherited': (dict(encoder=dict(type='Blip2TextEncoder')), 'Blip2TextEncoder'),
    'open_clip': (dict(encoder=dict(type='OpenCLIPTextEncoder', model='hf-hub:a/b')), 'hf-hub:a/b'),
    'tagger': (dict(captioners=[dict(type='OpenCLIPTagger', labels=['a'], model='hf-hub:a/b')]), 'OpenCLIPTagger'),
    'vllm': (dict(llm=dict(type='VLLMLLM', model='a/b', engine=dict(trust_remote_code=True))), 'trust_remote_code'),
    'hidden': (dict(encoder=PACKAGED | dict(revision='{"trust_remote_code": 1}')), 'trust_remote_code'),
    'path beside': (dict(encoder=PACKAGED | dict(revision='../x')), '../x'),
    'unhashable': (dict(encoder=dict(type='TransformersTextEncoder', model=['a'])), "['a']"),
    'unknown': (dict(llm=dict(type='NoSuchLLM')), 'NoSuchLLM'),
    'no part': (dict(llm='OpenAILLM'), 'OpenAILLM'),
}


@FORMS
@pytest.mark.parametrize('asked, shown', ASKED.values(), ids=ASKED)
def test_a_checkpoint_sends_nothing_and_fetches_nothing(here, server, capsys, asked, shown, checkpoint):
    language = json.loads(json.dumps(LANGUAGE | asked).replace('{url}', server.address))
    assert fuse(write(checkpoint, language=language)) == 2
    said = capsys.readouterr().err
    assert shown in said and '--words' in said and '--trust-checkpoint' in said
    assert not server.asked
    assert sorted(path.name for path in here.iterdir()) == ['ir', checkpoint, 'vi']


@FORMS
@pytest.mark.parametrize('verb', ['test', 'ablate-text', 'describe', 'train'])
def test_no_verb_that_takes_a_model_for_a_config_sends_anything(here, server, capsys, verb, checkpoint):
    language = LANGUAGE | dict(llm=dict(type='OpenAILLM', model='m', base_url=f'{server.address}/v1', max_retries=0))
    write(checkpoint, language=language)
    pairs = ['--source-a', 'ir', '--source-b', 'vi']
    assert main([verb, checkpoint, *pairs]) == 2
    said = capsys.readouterr().err
    assert (f'{checkpoint} asks to make it' in said or 'no config is known' in said) and not server.asked
    if verb == 'test':
        assert main([verb, checkpoint, *pairs, '--trust-checkpoint']) == 2
        assert {path for path, _, _ in server.asked} == {'/v1/chat/completions'}


@FORMS
@pytest.mark.parametrize('language', ['OpenAILLM', ['a'], dict(encoder=3)])
def test_a_section_of_another_form_is_not_believed(here, language, capsys, checkpoint):
    assert fuse(write(checkpoint, language=language)) == 2
    assert 'Traceback' not in capsys.readouterr().err


@pytest.mark.slow
def test_the_own_config_or_a_flag_decides(here, server, capsys):
    language = LANGUAGE | dict(llm=dict(type='OpenAILLM', model='m', base_url=f'{server.address}/v1', max_retries=0))
    checkpoint = write('stranger.pth', language=language)
    Path('mine.py').write_text(f'language = {LANGUAGE | dict(store="mine")}')
    assert fuse(checkpoint, '--words', 'mine.py') == 0
    assert Path('mine/features').is_dir() and not server.asked
    assert fuse(checkpoint, '--trust-checkpoint') == 2
    assert {path for path, _, _ in server.asked} == {'/v1/chat/completions'}
    assert 'of-the-user' not in str(server.asked), 'a key goes to the host that it was given for, not to another one'
    with pytest.raises(ConfigError, match='no language section'):
        Path('other.py').write_text('task = "ivf"')
        Fuser(checkpoint, words='other.py').describe([])


@pytest.mark.slow
def test_chosen_words_take_the_encoder_of_a_checkpoint_only_if_it_needs_nothing(here, server, capsys):
    remote = dict(captioners=[dict(type='OpenAICaptioner', model='m', base_url=f'{server.address}/v1')])
    assert fuse(write('stranger.pth', language=LANGUAGE | remote), '--words', 'measured') == 0
    assert "the model's text encoder TransformersTextEncoder all-MiniLM-L6-v2" in capsys.readouterr().err
    hub = dict(encoder=dict(type='TransformersTextEncoder', model='of/a/stranger'))
    assert fuse(write('stranger.pth', language=LANGUAGE | hub), '--words', 'measured') == 0
    assert 'its text encoder TransformersTextEncoder all-MiniLM-L6-v2' in capsys.readouterr().err
    assert not server.asked and Path('home/text/features').is_dir()


def test_a_text_that_a_store_has_already_needs_no_words(here, server, capsys):
    remote = dict(llm=dict(type='OpenAILLM', model='m', base_url=f'{server.address}/v1'))
    checkpoint = write('mine.pth', language=LANGUAGE | remote)
    pairs = [Pair('p', here / 'ir/p.png', here / 'vi/p.png', 'infrared', 'visible')]
    keys, store = Keys(LANGUAGE | remote), TextStore('mine')
    for image in subjects_of(pairs, of_pairs=False):
        store.write('features', keys.feature(*content_of(image)), {'text': 'A street.', 'tokens': 3, 'dim': 384},
                    np.ones((3, 384), np.float32))
    assert fuse(checkpoint, '--store', 'mine') == 0 and not server.asked
    (here / 'data').mkdir()
    (here / 'mine').rename(here / 'data/text')
    assert fuse(checkpoint) == 0 and not server.asked
    (here / 'data/text').rename(here / 'gone')
    assert fuse(checkpoint) == 2 and '--words' in capsys.readouterr().err and not server.asked
    assert not (here / 'home').exists()


def test_a_comparison_reads_a_text_that_a_store_has_already(here, server):
    pytest.importorskip('scikit_posthocs', reason="pip install 'vlfusion[benchmark]'")
    from vlfusion.benchmark.plan import load_plan
    from vlfusion.benchmark.run import Run
    remote = dict(type='OpenAILLM', model='m', base_url=f'{server.address}/v1')
    language = LANGUAGE | dict(llm=remote, store='data/text')
    write('mine.pth', language=language)
    Path('set.py').write_text("""test_dataloader = dict(dataset=dict(
        type='PairDataset', task='ivf', data_root='.', source_a='ir', source_b='vi',
        pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))""")
    Path('compare.py').write_text("""datasets = dict(Here=dict(config='set.py', split='test'))
methods = dict(Mine=dict(checkpoint='mine.pth'))
metrics = ['EN']""")
    run = Run(load_plan('compare.py'))
    run.fuse()
    assert 'outside of the installed packages' in run.failures['Here', 'Mine'] and not server.asked
    pairs = [Pair('p', here / 'ir/p.png', here / 'vi/p.png', 'infrared', 'visible')]
    for image in subjects_of(pairs, of_pairs=False):
        TextStore('data/text').write('features', Keys(language).feature(*content_of(image)),
                                     {'text': 'A street.', 'tokens': 3, 'dim': 384}, np.ones((3, 384), np.float32))
    run = Run(load_plan('compare.py'))
    run.fuse()
    assert not run.failures and run.counts['fused'] == 1 and not server.asked


def test_a_text_that_is_given_needs_no_words(here, server):
    language = LANGUAGE | dict(llm=dict(type='OpenAILLM', model='m', base_url=f'{server.address}/v1'))
    np.save('text.npy', np.ones((3, 384), np.float32))
    assert fuse(write('stranger.pth', language=language), '--text', 'text.npy') == 0
    assert not server.asked


@pytest.mark.slow
@pytest.mark.parametrize('store', ['{tmp}/elsewhere', '../elsewhere', 'work', 'link', '', 3, 'a\0b'])
def test_a_checkpoint_does_not_choose_where_records_are_written(here, store):
    (here / 'work').mkdir()
    (here / 'link').symlink_to(here.parent)
    store = store.replace('{tmp}', str(here)) if isinstance(store, str) else store
    before = {path for path in here.parent.iterdir()}
    assert fuse(write('stranger.pth', language=LANGUAGE | dict(store=store))) == 0
    assert {path for path in here.parent.iterdir()} == before and not list((here / 'work').iterdir())
    assert (here / 'home/text/features').is_dir() and not (here / 'elsewhere').exists()


def test_a_store_that_describing_has_filled_here_is_read(here):
    (here / 'data/text/features').mkdir(parents=True)
    assert fuse(write('mine.pth', language=LANGUAGE)) == 0
    assert list((here / 'data/text/features').rglob('*.npy')) and not (here / 'home').exists()


@pytest.mark.slow
def test_the_store_may_be_chosen(here):
    language = LANGUAGE | dict(encoder=PACKAGED | dict(device='cpu:0'))
    assert fuse(write('mine.pth', language=language), '--store', 'chosen') == 0
    assert (here / 'chosen/features').is_dir() and not (here / 'home').exists()


REACHING = {
    'hub': dict(backbone=dict(type='TimmFusion', encoder='hf-hub:a/b')),
    'folder': dict(backbone=dict(type='TimmFusion', encoder='local-dir:ir')),
    'pickle': dict(backbone=dict(type='TimmFusion', options=dict(checkpoint_path='ir'))),
    'overlay': dict(backbone=dict(type='TimmFusion', options=dict(pretrained_cfg_overlay=dict(file='x')))),
    'address': dict(backbone=BACKBONE | dict(note=['http://host'])),
    'nested': dict(backbone=BACKBONE, data_preprocessor=dict(type='BaseDataPreprocessor', root='ir')),
}


@FORMS
@pytest.mark.parametrize('model', REACHING.values(), ids=REACHING)
def test_a_model_that_reaches_out_is_refused_before_it_is_built(here, server, model, checkpoint):
    write(checkpoint, **model)
    for read in (load_model, read_experiment):
        with pytest.raises(CheckpointError, match='asks for things outside'):
            read(checkpoint)
    assert main(['export', checkpoint, '--format', 'torchscript', '--out', 'x.pt']) == 2
    assert not server.asked


@FORMS
@pytest.mark.parametrize('model', [
    dict(type='ConvModule', in_channels=1, out_channels=1, kernel_size=1, conv_cfg=dict(type='planted.Layer')),
    dict(type='FusionModel', data_preprocessor=dict(type='ConvModule', in_channels=1, out_channels=1, kernel_size=1,
                                                    act_cfg=dict(type='planted.Layer'))),
    dict(type='FusionModel', backbone=BACKBONE | dict(norm=[dict(type='planted.Layer')]))])
def test_a_model_imports_no_module_by_its_path(here, monkeypatch, model, checkpoint):
    (here / 'planted.py').write_text('open("ran", "w")')
    monkeypatch.syspath_prepend(here)
    write(checkpoint)
    rewrite(checkpoint, model=dict(backbone=BACKBONE) | model)
    with pytest.raises(CheckpointError, match='asks for'):
        load_model(checkpoint)
    assert not (here / 'ran').exists()


def is_json(value):
    """Tell whether a value can stand in the metadata of `.safetensors`."""
    try:
        return bool(json.dumps(value))
    except (TypeError, ValueError):
        return False


LOOP = []
LOOP.append(LOOP)


@pytest.mark.parametrize('section, value', [
    ('model', 'FILM'), ('model', dict(type='FusionModel')), ('model', dict(type='FusionModel', backbone=[1])),
    ('model', dict(type='FusionModel', backbone=dict(type=['FILM']))), ('task', ['ivf']),
    *(('model', dict(type='FusionModel', backbone=BACKBONE | dict(note=note)))
      for note in (LOOP, {'a'}, bytearray(b'/etc'), torch.ones(2))),
    ('model', dict(type='FusionModel', backbone=BACKBONE | dict(dim='wide')))], ids=str)
def test_an_experiment_of_another_form_is_one_line(here, section, value):
    for checkpoint in ('stranger.pth', 'stranger.safetensors')[:1 + is_json(value)]:
        write(checkpoint)
        rewrite(checkpoint, **{section: value})
        with pytest.raises(CheckpointError):
            load_model(checkpoint)


@FORMS
def test_a_checkpoint_says_nothing_but_its_experiment(here, checkpoint):
    write(checkpoint)
    rewrite(checkpoint, language_error='none', words='other.py')
    assert read_experiment(checkpoint).keys() == {'task', 'model', 'text_source', 'origin'}
    content = load_checkpoint_file(checkpoint)
    write_state(checkpoint, content['state_dict'], content['meta'] | dict(released=3))
    with pytest.raises(CheckpointError):
        read_experiment(checkpoint)


@pytest.mark.parametrize('state', [[1], {'backbone.x': 1}, {3: torch.ones(1)}])
def test_weights_of_another_form_are_one_line(here, state):
    checkpoint = write('stranger.pth')
    torch.save(torch.load(checkpoint, weights_only=True) | dict(state_dict=state), checkpoint)
    with pytest.raises(CheckpointError):
        load_model(checkpoint)


@pytest.mark.parametrize('backbone', [dict(type='TimmFusion', encoder='resnet10t', pretrained=True),
                                      dict(type='IFCNN', first_layer='no/such/file.pth')])
def test_what_only_a_training_needs_is_not_asked_of_a_checkpoint(tmp_path, server, backbone):
    model = dict(type='FusionModel', backbone=backbone, losses=[dict(type='NoSuchLoss')],
                 init_cfg=dict(type='Pretrained', checkpoint='/no/such'))
    state = MODELS.build(dict(type='FusionModel', backbone=backbone)).state_dict()
    torch.save(dict(state_dict=state, meta=dict(vlfusion=dict(task='ivf', model=model))), tmp_path / 'x.pth')
    assert load_model(tmp_path / 'x.pth')[0].backbone is not None and not server.asked


@FORMS
@pytest.mark.slow
@pytest.mark.parametrize('files', ['/etc/{name}.npy', '../{name}.npy', 'a/../../{name}.npy', '~/{name}.npy',
                                   'C:\\{name}.npy', 3, ''])
def test_text_features_outside_of_the_data_are_refused(here, files, checkpoint):
    for source in (dict(files=files), dict(text=dict(files=files))):
        with pytest.raises(CheckpointError, match='outside of the data set'):
            read_experiment(write(checkpoint, text_source=source))
    assert read_experiment(write('mine.pth', text_source=dict(files='TextFeature/{name}.npy')))


@pytest.mark.slow
def test_every_config_that_ships_can_be_fused_from_its_checkpoint():
    root = Path(__file__).parents[2]
    configs = [path for path in [*root.glob('configs/*/*.py'), *root.glob('plugins/*/configs/*.py')]
               if '_base_' not in path.parts]
    models = {path: model for path in configs if (model := load_config(path).get('model'))}
    for path, model in models.items():
        check_model(to_fuse(model.to_dict()), str(path))
    assert len(models) > 40


REMOTE = dict(trust_remote_code=True)


@pytest.mark.parametrize('options', [REMOTE, dict(hf_overrides=REMOTE), dict(a=[{'trust-remote-code': 'yes'}]),
                                     dict(additional_config='{"trust_remote_code": true}')])
def test_remote_code_is_refused_wherever_it_hides(options):
    for build in (lambda: VLLMLLM('x', engine=options),
                  lambda: LLMS.build(dict(type='VLLMLLM', model='x', engine=options)),
                  lambda: CAPTIONERS.build(dict(type='MeasuredCaptioner', **options)),
                  lambda: TEXT_ENCODERS.build(PACKAGED | dict(device=options))):
        with pytest.raises(VLFusionError, match='trust_remote_code|has no argument'):
            build()
    with pytest.raises(ConfigError, match='trust_remote_code'):
        VLLMLLM('x', engine=options)


def test_remote_code_that_a_folder_of_open_clip_asks_for_is_not_run(tmp_path):
    pytest.importorskip('open_clip', reason="pip install 'vlfusion[vision]'")
    text = dict(context_length=77, vocab_size=100, width=16, heads=2, layers=1, hf_tokenizer_name='x',
                tokenizer_kwargs=REMOTE)
    vision = dict(image_size=16, layers=1, width=16, patch_size=8, head_width=8)
    (tmp_path / 'open_clip_config.json').write_text(json.dumps(dict(
        model_cfg=dict(embed_dim=8, vision_cfg=vision, text_cfg=text), preprocess_cfg={})))
    (tmp_path / 'tokenizer_config.json').write_text(json.dumps(dict(
        auto_map=dict(AutoTokenizer=['evil.Tokens', None]), tokenizer_class='Tokens')))
    (tmp_path / 'evil.py').write_text(f'open({str(tmp_path / "ran")!r}, "w")')
    for build in (lambda model: OpenCLIPTextEncoder(model), lambda model: OpenCLIPTagger(['a'], model=model)):
        with pytest.raises(ConfigError, match='trust_remote_code'):
            build(f'local-dir:{tmp_path}')
    assert not (tmp_path / 'ran').exists()


def test_nobody_is_asked_whether_to_run_the_code_of_a_model(tmp_path, monkeypatch):
    open_clip = pytest.importorskip('open_clip', reason="pip install 'vlfusion[vision]'")
    monkeypatch.setattr('builtins.input', lambda *_: 'y')
    shutil.copytree(packaged('all-MiniLM-L6-v2'), tmp_path, dirs_exist_ok=True)
    (tmp_path / 'evil.py').write_text(f'open({str(tmp_path / "ran")!r}, "w")\n'
                                      'from transformers import BertConfig as C, BertModel as M, BertTokenizer as T')
    auto = dict(AutoConfig='evil.C', AutoModel='evil.M', AutoModelForCausalLM='evil.M', AutoProcessor='evil.T',
                AutoModelForImageTextToText='evil.M', AutoTokenizer=['evil.T', None])
    for name, kind in (('config.json', dict(model_type='odd')), ('tokenizer_config.json', dict(tokenizer_class='Odd'))):
        settings = json.loads((tmp_path / name).read_text())
        (tmp_path / name).write_text(json.dumps(settings | kind | dict(auto_map=auto)))
    vision = dict(image_size=16, layers=1, width=16, patch_size=8, head_width=8)
    tower = dict(context_length=77, vocab_size=100, width=16, heads=2, layers=1)
    torch.save(open_clip.CLIP(8, vision, tower).state_dict(), tmp_path / 'open_clip_pytorch_model.bin')
    folder = str(tmp_path)
    for text in (tower | dict(hf_tokenizer_name=folder), dict(hf_model_name=folder, hf_model_pretrained=False)):
        (tmp_path / 'open_clip_config.json').write_text(json.dumps(dict(
            model_cfg=dict(embed_dim=8, vision_cfg=vision, text_cfg=text), preprocess_cfg={})))
        with pytest.raises(ConfigError, match='custom code'):
            OpenCLIPTextEncoder(f'local-dir:{folder}')
    for build in (TransformersTextEncoder, SentenceTransformersEncoder, TransformersLLM, TransformersCaptioner):
        with pytest.raises(ConfigError):
            build(folder)
    assert not (tmp_path / 'ran').exists()


def test_timm_unpickles_no_code(tmp_path):
    pytest.importorskip('timm', reason="pip install 'vlfusion[vision]'")

    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / 'ran',)
    torch.save(Evil(), tmp_path / 'evil.pth')
    with pytest.raises(ConfigError):
        TimmFusion('resnet10t', options=dict(checkpoint_path=str(tmp_path / 'evil.pth')))
    assert not (tmp_path / 'ran').exists()


@pytest.mark.slow
def test_a_pair_that_cannot_be_described_is_listed_and_the_others_are_fused(here, capsys):
    draw_pairs(here, ['q', 'r'])
    (here / 'vi/q.png').write_bytes(b'no image')
    assert main(['fuse', write('mine.pth', language=LANGUAGE), 'ir', 'vi', '-o', 'out']) == 1
    assert sorted(path.stem for path in (here / 'out').iterdir()) == ['p', 'r']
    said = capsys.readouterr().err
    assert '1 of 3 pairs could not be fused' in said and 'q: ' in said
