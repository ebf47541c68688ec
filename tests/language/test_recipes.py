"""Recipes of words: each that ships takes its arguments, names are told apart, and who keeps which text encoder."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from vlfusion import plugins
from vlfusion.config import load_config
from vlfusion.errors import ConfigError, UnknownNameError
from vlfusion.guards.arguments import check_arguments
from vlfusion.language.pipeline import DescriptionPipeline
from vlfusion.language.recipes import FACTS, Recipe, combine, find_recipe, find_recipes, find_words, get_recipe
from vlfusion.plugins import Plugin
from vlfusion.registry import CAPTIONERS, LLMS

MINILM = dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2')
NAMES = sorted(find_recipes())


def language(name):
    return load_config(get_recipe(name).file).language


def test_the_promised_recipes_are_there():
    assert {*NAMES} >= {'measured', 'measured-server', 'film', 'florence2-llama', 'qwen-vl', 'smolvlm-local', 'chatgpt'}
    assert 'measured-minilm' not in NAMES, 'former names are configs, but no recipes'
    former = load_config('vlfusion::_base_/language/measured_minilm.py')
    assert former.language == language('measured') and former.text_source == dict(stream='pair/paragraph')


@pytest.mark.parametrize('name', NAMES)
def test_a_recipe_says_what_it_needs(name):
    recipe = get_recipe(name)
    assert recipe.facts.keys() == {*FACTS} and recipe.title.endswith('.')
    others = {'film': 768, 'measured-blip2': 768, 'measured-clip': 512}
    assert recipe.width == others.get(name, 384) and (language(name).encoder == MINILM) == (name not in others)


@pytest.mark.parametrize('name', NAMES)
def test_the_parts_of_a_recipe_take_their_arguments(name, tmp_path):
    section = dict(language(name), store=str(tmp_path))
    pipeline = DescriptionPipeline(section)  # checks the arguments, and builds no model
    assert pipeline.prompt.of_pair == name.endswith('-pair')
    for part in section['captioners']:
        if labeller := part.get('labeller'):
            check_arguments(CAPTIONERS.get(labeller['type']), labeller)


@pytest.mark.parametrize('name', NAMES)
def test_parts_that_ask_a_server_are_built(name, monkeypatch):
    pytest.importorskip('openai', reason="pip install 'vlfusion[openai]'")
    monkeypatch.setenv('OPENAI_API_KEY', 'sk-never-sent')
    monkeypatch.setenv('VLFUSION_SERVER', 'http://localhost:9/v1')
    section, asking = language(name), 0
    for registry, part in [*((CAPTIONERS, part) for part in section.captioners), (LLMS, section.llm)]:
        if part.type.startswith('OpenAI'):
            asking += 1
            assert part.get('base_url', 'http://localhost:9/v1') == 'http://localhost:9/v1'
            assert registry.build(dict(part)).client
    assert bool(asking) == (not get_recipe(name).fact('Server').startswith('none'))


def test_names_are_found_in_both_spellings_and_with_their_package():
    assert find_recipe('qwen-vl') == find_recipe('qwen_vl') == find_recipe('vlfusion::qwen-vl') == get_recipe('qwen-vl')
    assert find_recipe('vlfusion_no::measured') is find_recipe('nothing') is None
    with pytest.raises(UnknownNameError, match='Did you mean measured?'):
        get_recipe('mesured')


def test_recipes_of_plugins_have_names_and_clashes_their_package(tmp_path, monkeypatch):
    text = '"""Words of {0}.\n\nWidth: 16\n"""\nlanguage = dict(store="x", prompt="paragraph")\n'
    for package, stems in {'vlfusion_one': ['measured', 'sung', 'whistled'], 'vlfusion_two': ['sung']}.items():
        folder = tmp_path / package / 'configs/_base_/language'
        folder.mkdir(parents=True)
        (tmp_path / package / '__init__.py').write_text('raise RuntimeError("a listing must not import plugins")')
        for stem in stems:
            (folder / f'{stem}.py').write_text(text.format(package))
        (folder / 'broken.py').write_text('language = dict(')
        (folder / 'other.py').write_text('_base_ = ["sung.py"]')
    monkeypatch.syspath_prepend(str(tmp_path))
    found = tuple(Plugin(EntryPoint(name, f'vlfusion_{name}', plugins.GROUP)) for name in ('one', 'two'))
    monkeypatch.setattr(plugins, 'found', lambda: found)
    recipes = find_recipes()
    assert {name for name in recipes if recipes[name].package != 'vlfusion'} == {
        'vlfusion_one::measured', 'vlfusion_one::sung', 'vlfusion_two::sung', 'whistled'}
    assert get_recipe('measured').package == 'vlfusion', 'nothing shadows a name of vlfusion'
    assert get_recipe('vlfusion_two::sung').width == 16 and get_recipe('vlfusion_one::whistled').name == 'whistled'
    assert find_words('vlfusion_one::measured').language['store'] == 'x'
    with pytest.raises(UnknownNameError, match='vlfusion_one::sung'):
        get_recipe('sung')
    assert 'vlfusion_one' not in sys.modules


def test_missing_packages_and_keys_are_said(monkeypatch):
    def obstacles(**facts):
        return Recipe('x', 'vlfusion', Path(), '', {key.title(): value for key, value in facts.items()}).obstacles()

    monkeypatch.setattr('vlfusion.language.recipes.requires', lambda name: [
        'numpy>=2', 'no-such-package<6,>=5.16; extra == "language"', 'torch; extra == "vision"'])
    assert obstacles(packages='vlfusion[language]') == ["pip install 'vlfusion[language]'"]
    assert obstacles(packages='vlfusion[vision], no_such_engine') == ["pip install 'no_such_engine'"]
    monkeypatch.delenv('NO_SUCH_KEY', raising=False)
    assert obstacles(packages='vlfusion', key='NO_SUCH_KEY') == ['set NO_SUCH_KEY']
    monkeypatch.setenv('NO_SUCH_KEY', 'sk-1')
    assert obstacles(packages='vlfusion', key='NO_SUCH_KEY') == [] == obstacles(key='none') == obstacles(key='')


def test_models_of_the_hub_are_looked_for_in_its_cache(tmp_path, monkeypatch):
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
    assert get_recipe('measured').models == () and get_recipe('measured').is_here()
    recipe = get_recipe('film')
    assert len(recipe.models) == 5 and 'facebook/sam-vit-base' in recipe.models and not recipe.is_here()
    assert get_recipe('florence2-llama').models == ('florence-community/Florence-2-base',), 'not that of the server'
    for model in recipe.models:
        snapshot = tmp_path / f'models--{model.replace("/", "--")}/snapshots/abc'
        snapshot.mkdir(parents=True)
        (snapshot.parents[1] / 'refs').mkdir()
        (snapshot.parents[1] / 'refs/main').write_text('abc')
        (snapshot / 'config.json').write_text('{}')
        assert not recipe.is_here()
        (snapshot / 'model.safetensors').write_text('weights')
    assert recipe.is_here()


def test_words_are_names_configs_or_sections(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'film').mkdir()  # a folder is no recipe
    assert find_words('film').width == 768 and find_words('film').recipe == get_recipe('film')
    assert find_words('film/film_mif').width == 384 and find_words('film/film_mif').recipe is None
    (tmp_path / 'measured.py').write_text('language = dict(store="mine")')
    assert find_words('measured.py').language == dict(store='mine'), 'a file comes before a name'
    assert find_words('measured').recipe and find_words(dict(store='given')).language == dict(store='given')
    for words, said in (('mesured', 'Did you mean measured'), ('work_dirs/x', 'neither a recipe of words nor a config'),
                        ('no.py', 'No config at'), ('film/film_ivf', 'no language section'),
                        (dict(stor='x'), 'Did you mean store')):
        with pytest.raises((UnknownNameError, ConfigError), match=said):
            find_words(words)


def test_a_trained_model_keeps_its_text_encoder_and_a_new_one_gets_that_of_the_words():
    own = dict(store='own', llm=dict(type='Other'), encoder=dict(type='E', model='m'), fixed=['Fuse.'])
    words = find_words('smolvlm-local')
    kept, note = combine(words, own, trained=True)
    assert kept == {**words.language, 'store': 'own', 'encoder': own['encoder'], 'fixed': ['Fuse.']}
    assert note == ('Words by the recipe smolvlm-local: ChatVLMCaptioner HuggingFaceTB/SmolVLM-500M-Instruct, '
                    "TemplateLLM; the model's text encoder E m.")
    two = own | dict(instruction_encoder=dict(type='I'))
    assert combine(words, two, trained=True)[0]['instruction_encoder'] == dict(type='I')
    strange = find_words(words.language | dict(instruction_encoder=dict(type='W')))
    assert 'instruction_encoder' not in combine(strange, own, trained=True)[0], 'the model has none'
    alone = dict(store='own', instruction_encoder=dict(type='I'))
    assert combine(words, alone, trained=True)[0]['instruction_encoder'] == dict(type='I')
    new, note = combine(words, own, trained=False)
    assert new['encoder'] == MINILM and 'its text encoder TransformersTextEncoder' in note
    assert combine(words, None, trained=True)[0] == words.language
    assert words.language['store'] == 'data/text', 'the recipe itself does not change'


def test_a_config_writes_to_its_own_store():
    words = find_words(dict(store='mine', encoder=MINILM))
    assert combine(words, dict(store='own'), trained=True)[0]['store'] == 'mine'
