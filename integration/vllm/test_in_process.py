"""VLLMLLM, with vLLM's engine in a process that it starts itself."""

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from mmengine import Config

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.interfaces import Prompt
from vlfusion.registry import LLMS

SYSTEM = 'Be brief.'


@pytest.fixture(scope='module')
def section(folder, json_options):
    return dict(type='VLLMLLM', model=folder, dtype='float32', max_new_tokens=60, engine=dict(
        enforce_eager=True, max_num_seqs=2, hf_overrides=dict(max_position_embeddings=1024),
        structured_outputs_config=json_options))


@pytest.fixture(scope='module')
def build(section):
    """Builds LLMs from config sections, as the pipeline does, and ends their engines."""
    engines = []

    def make(**options):
        llm = LLMS.build(Config(dict(llm=section | options)).llm)
        engines.append(llm._model.llm_engine.engine_core)
        return llm

    yield make
    for engine in engines:
        engine.shutdown()


@pytest.fixture(scope='module')
def greedy(build):
    return build(system=SYSTEM)


def test_greedy_answers_are_those_of_transformers_in_order(greedy, prompts, reference, facts, folder):
    expected = reference(prompts, system=SYSTEM)
    assert len(set(expected)) == len(prompts) and expected != reference(prompts)
    completions = greedy.complete(prompts)
    assert facts(completions) == expected
    assert all(one.model == folder and one.seconds > 0 and one.cost is None for one in completions)
    assert greedy.complete([]) == []


def test_a_prompt_beyond_the_context_is_refused_and_leaves_nothing_behind(greedy, prompts, reference, facts):
    """The context is the one that an argument of the engine sets."""
    with pytest.raises(DataError, match='cannot take one of 3 prompts: .*maximum context length is 1024 tokens'):
        greedy.complete([prompts[0], Prompt('zq' * 1000, (), ''), prompts[1]])
    assert facts(greedy.complete(prompts[2:4])) == reference(prompts[2:4], system=SYSTEM)


def test_answers_keep_to_their_schema_beside_prose(greedy, prompts, structured, reference, facts):
    first, second, prose = greedy.complete([*structured[:2], prompts[1]])
    for completion in (first, second):
        jsonschema.validate(json.loads(completion.text), structured[0].schema)
        assert completion.finish_reason == 'stop'
    assert facts([prose]) == reference(prompts[1:2], system=SYSTEM)


def test_images_become_features(describe, greedy, section):
    describe(section | dict(system=SYSTEM), SYSTEM, greedy)


def test_drawn_answers_depend_on_the_seed_and_on_no_neighbour(build, prompts, reference, facts):
    drawing = build(temperature=1.5, seed=1)
    first = facts(drawing.complete(prompts))
    assert first == facts(drawing.complete(prompts)) == [facts(drawing.complete([prompt]))[0] for prompt in prompts]
    greedy = reference(prompts)
    assert [read for _, read, *_ in first] == [read for _, read, *_ in greedy]
    other = facts(build(temperature=1.5, seed=2).complete(prompts))
    assert len({text for text, *_ in first + other + greedy}) == 3 * len(prompts)


@pytest.mark.parametrize(('options', 'problem'), [
    (dict(model='/nowhere/at/all'), "vLLM cannot chat with '/nowhere/at/all'"),
    (dict(model='nobody/nothing'), "vLLM cannot chat with 'nobody/nothing'"),
    (dict(max_new_tokens=0), 'max_tokens must be at least 1'),
    (dict(engine=dict(max_num_sequences=2)), "unexpected keyword argument 'max_num_sequences'")])
def test_what_vllm_refuses_is_a_config_error(build, options, problem):
    with pytest.raises(ConfigError, match=problem):
        build(**options)


def test_a_model_without_a_chat_template_is_refused_at_once(build, folder, tmp_path):
    plain = Path(shutil.copytree(folder, tmp_path / 'plain'))
    (plain / 'chat_template.jinja').unlink()
    with pytest.raises(ConfigError, match='chat template'):
        build(model=str(plain))
