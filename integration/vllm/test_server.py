"""OpenAILLM against vLLM's own server."""

import json

import jsonschema
import pytest

from vlfusion.language.chat.client import ChatError
from vlfusion.language.interfaces import Prompt
from vlfusion.language.llms import OpenAILLM


@pytest.fixture
def build(server, key):
    def make(model='tiny-llama', **options):
        return OpenAILLM(model, base_url=server, api_key_env='LOOPBACK_KEY',
                         **{'max_tokens': 60, 'timeout': 120, 'max_retries': 0, **options})

    return make


@pytest.mark.parametrize('concurrency', [1, 6])
def test_greedy_answers_are_those_of_transformers_in_order(build, prompts, reference, facts, concurrency):
    expected = reference(prompts)
    assert {reason for *_, reason in expected} == {'stop', 'length'} and len(set(expected)) == len(prompts)
    llm = build(concurrency=concurrency)
    completions = llm.complete(prompts)
    assert facts(completions) == expected
    assert all(one.model == 'tiny-llama' and one.seconds > 0 and one.cost is None for one in completions)
    assert llm.client.tokens == sum(read + written for _, read, written, _ in expected)


def test_a_system_message(build, prompts, reference, facts):
    assert facts(build(system='Be brief.').complete(prompts)) == reference(prompts, system='Be brief.')


def test_a_seed_repeats_drawn_answers(build, prompts):
    first, again, other = ([one.text for one in build(temperature=1.5, seed=seed).complete(prompts)]
                           for seed in (1, 1, 2))
    assert first == again != other


def test_a_field_that_only_vllm_knows(build, prompts):
    """The first answer comes to its own end; here it may not."""
    completion = build(extra={'ignore_eos': True}).complete(prompts[:1])[0]
    assert (completion.completion_tokens, completion.finish_reason) == (60, 'length')


def test_an_answer_keeps_to_its_schema(build, structured):
    completions = build().complete(structured)
    for prompt, completion in zip(structured, completions, strict=True):
        jsonschema.validate(json.loads(completion.text), prompt.schema)
        assert completion.finish_reason == 'stop'


def test_a_wrong_key(build, prompts, monkeypatch):
    monkeypatch.setenv('LOOPBACK_KEY', 'sk-wrong')
    with pytest.raises(ChatError, match='refused the key of LOOPBACK_KEY') as caught:
        build().complete(prompts)
    assert caught.value.status == 401 and 'sk-wrong' not in str(caught.value)


def test_an_unknown_model(build, prompts):
    with pytest.raises(ChatError, match="refused a request to 'tiny-lama' .404.*does not exist") as caught:
        build('tiny-lama').complete(prompts[:1])
    assert caught.value.status == 404


def test_a_prompt_beyond_the_context_fails_alone(build, prompts, reference, facts):
    answers = dict(build().stream([prompts[0], Prompt('zq' * 2000, (), ''), prompts[1]]))
    assert isinstance(answers[1], ChatError) and answers[1].status == 400
    assert 'maximum context length is 2048' in str(answers[1])
    assert facts([answers[0], answers[2]]) == reference(prompts[:2])


def test_images_become_features(describe, server, key):
    describe(dict(type='OpenAILLM', model='tiny-llama', base_url=server, api_key_env='LOOPBACK_KEY', max_tokens=60))
