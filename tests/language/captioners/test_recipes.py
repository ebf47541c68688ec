"""Recipes whose captioners run in this process describe images, with tiny models and a real server for the LLM."""

import pytest
from language.llms.conftest import ScriptedServer, chat_answer

from vlfusion.config import load_config
from vlfusion.language.pipeline import DescriptionPipeline
from vlfusion.language.recipes import find_recipes, get_recipe
from vlfusion.language.subjects import PairToDescribe

#: Fixture of the tiny model for each published one.
TINY = {'Salesforce/blip2-opt-2.7b': 'blip2', 'Salesforce/blip-image-captioning-base': 'blip',
        'florence-community/Florence-2-base': 'florence', 'facebook/sam-vit-base': 'sam',
        'Qwen/Qwen3-VL-4B-Instruct': 'qwen3', 'HuggingFaceTB/SmolVLM-500M-Instruct': 'smolvlm'}
#: Settings that fit tiny models: masks of any quality, else few tokens.
QUICK = {'SamMasks': dict(points_per_side=2, quality=0., stability=0., min_area=0.),
         'FlorenceCaptioner': dict(max_new_tokens=40)}


def with_tiny_models(part, request):
    """The part of a recipe, with the folders of tiny models instead of ids."""
    changes = {'model': request.getfixturevalue(TINY[part['model']]), **QUICK.get(part['type'], dict(max_new_tokens=5))}
    if labeller := part.get('labeller'):
        changes['labeller'] = with_tiny_models(labeller, request)
    return {**part, **changes}


@pytest.mark.slow
@pytest.mark.parametrize('name', [name for name, recipe in find_recipes().items()
                                  if any(model in recipe.file.read_text() for model in TINY)])
def test_a_recipe_describes_images(name, request, images, tmp_path, encoder, monkeypatch):
    pytest.importorskip('transformers')
    monkeypatch.setattr(DescriptionPipeline, 'encoder', encoder)
    section = load_config(get_recipe(name).file).language.to_dict()
    section |= dict(store=str(tmp_path / 'text'),
                    captioners=[with_tiny_models(part, request) for part in section['captioners']])
    if section['llm']['type'] == 'OpenAILLM':
        section['llm'] |= dict(base_url=request.getfixturevalue('local_server'), max_tokens=8)
    pipeline = DescriptionPipeline(section)
    subjects = [PairToDescribe(*images[:2])] if pipeline.prompt.of_pair else images[:2]
    report = pipeline.run(subjects)
    assert report.failures() == '' and len(report.done) == len(subjects)
    assert all(pipeline.paragraph(subject).strip() for subject in subjects)
    assert bool(pipeline.usage.completion_tokens) == (section['llm']['type'] == 'OpenAILLM')


@pytest.mark.slow
@pytest.mark.parametrize('name', ['vision-server', 'vision-server-pair', 'chatgpt'])
def test_a_recipe_shows_images_to_a_server(name, images, tmp_path, encoder, monkeypatch):
    pytest.importorskip('openai', reason="pip install 'vlfusion[openai]'")
    monkeypatch.setattr(DescriptionPipeline, 'encoder', encoder)
    server = ScriptedServer(lambda number, body: (200, chat_answer('A dark street with two parked cars.')))
    monkeypatch.setenv('VLFUSION_SERVER', server.url)
    monkeypatch.delenv('OPENAI_API_KEY', raising=False)
    section = load_config(get_recipe(name).file).language.to_dict() | dict(store=str(tmp_path / 'text'))
    section['captioners'][0].setdefault('base_url', server.url)  # instead of OpenAI's
    try:
        pipeline = DescriptionPipeline(section)
        of_pair = pipeline.prompt.of_pair
        [subject] = [PairToDescribe(*images[:2])] if of_pair else images[:1]
        assert pipeline.run([subject]).failures() == ''
    finally:
        server.stop()
    [body] = server.bodies
    assert [part['type'] for part in body['messages'][0]['content']] == ['text', *['image_url'] * (1 + of_pair)]
    assert pipeline.paragraph(subject) == 'A dark street with two parked cars.'
    assert pipeline.asked == (15, pytest.approx(12e-6) if name == 'chatgpt' else 0)  # 10 read and 5 written
