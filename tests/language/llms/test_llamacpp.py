"""The client against a real server and a real, small model. What it says is not judged."""

from dataclasses import replace

import pytest

from vlfusion.language.answers.structure import schema_check
from vlfusion.language.chat.client import ChatError
from vlfusion.language.interfaces import Prompt
from vlfusion.language.llms import OpenAILLM

PROMPTS = [Prompt(f'Name {what}.', (), 'visible') for what in ('a colour', 'an animal', 'a city', 'a tree')]


@pytest.fixture
def build(llamacpp, key):
    return lambda **options: OpenAILLM('smollm2', base_url=llamacpp, api_key_env='LOOPBACK_KEY',
                                       **{'max_tokens': 8, 'timeout': 60, **options})


@pytest.mark.slow
def test_answers_usage_and_concurrency(build):
    llm = build(concurrency=2)
    completions = llm.complete(PROMPTS)
    assert len(completions) == 4
    for completion in completions:
        assert completion.text.strip() and completion.model and completion.finish_reason in ('stop', 'length')
        assert completion.prompt_tokens > 5 and 1 <= completion.completion_tokens <= 8
        assert completion.seconds > 0 and completion.cost is None
    assert llm.client.tokens == sum(one.prompt_tokens + one.completion_tokens for one in completions)


@pytest.mark.slow
def test_greedy_answers_repeat_and_order_is_kept(build):
    assert [one.text for one in build(concurrency=1).complete(PROMPTS[:2])] == [
        one.text for one in build(concurrency=1).complete(PROMPTS[:2])]


@pytest.mark.slow
def test_a_limit_cuts_and_is_reported(build):
    completion = build(max_tokens=3).complete([Prompt('Count from one to a hundred.', (), '')])[0]
    assert (completion.finish_reason, completion.completion_tokens) == ('length', 3)


def test_a_system_message_is_read(build):
    short, long = (build(system=system).complete(PROMPTS[:1])[0] for system in ('Be brief.', 'Be brief. ' * 4))
    assert long.prompt_tokens > short.prompt_tokens + 6


def test_a_schema_is_kept(build):
    schema = {'type': 'object', 'properties': {'colour': {'enum': ['red', 'blue']}}, 'required': ['colour'],
              'additionalProperties': False}
    text = build(max_tokens=40).complete([replace(PROMPTS[0], schema=schema)])[0].text
    assert schema_check(schema)(text) is None


def test_a_wrong_key_is_refused(build, monkeypatch):
    monkeypatch.setenv('LOOPBACK_KEY', 'sk-wrong')
    with pytest.raises(ChatError, match='refused the key of LOOPBACK_KEY') as caught:
        build().complete(PROMPTS)
    assert caught.value.status == 401 and 'sk-wrong' not in str(caught.value)
