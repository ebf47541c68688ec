"""Recipes whose captioners run in this process describe images, with tiny models and a real server for the LLM."""

import pytest

from vlfusion.config import load_config
from vlfusion.language.pipeline import DescriptionPipeline
from vlfusion.language.recipes import find_recipes, get_recipe
from vlfusion.language.subjects import PairToDescribe

#: Fixture of the tiny model for each published one.
TINY = {'Salesforce/blip2-opt-2.7b': 'blip2', 'Salesforce/blip-image-captioning-base': 'blip',
        'florence-community/Florence-2-base': 'florence', 'facebook/sam-vit-base': 'sam',
        'Qwen/Qwen3-VL-4B-Instruct': 'qwen', 'HuggingFaceTB/SmolVLM-500M-Instruct': 'smolvlm'}
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
