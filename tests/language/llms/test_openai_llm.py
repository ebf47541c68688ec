"""The client against a server that fails as servers do."""

import base64
import importlib
import inspect
import json
import logging
import re
import sys
import threading
import time
import traceback
from dataclasses import replace
from urllib.parse import quote

import pytest
from language.llms.conftest import chat_answer
from mmengine import Config

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.captioners.openai_captioner import OpenAICaptioner
from vlfusion.language.chat.client import BudgetError, Chat, ChatClient, ChatError
from vlfusion.language.interfaces import Completion, Observation, Prompt
from vlfusion.language.keys import identity
from vlfusion.language.llms import OpenAILLM
from vlfusion.language.pipeline import DescriptionPipeline
from vlfusion.registry import LLMS, snapshot

SCHEMA = {'type': 'object', 'properties': {'text': {'type': 'string'}}, 'required': ['text']}


def prompts(count):
    return [Prompt(f'prompt {index}', (), 'visible') for index in range(count)]


def said(body):
    return body['messages'][-1]['content']


asked = said


def echo(number, body):
    return 200, chat_answer(f'to {said(body)}')


@pytest.fixture
def build(key):
    """Makes an LLM at a scripted server."""
    return lambda server, **options: OpenAILLM('m', base_url=server.url, api_key_env='LOOPBACK_KEY',
                                               **{'timeout': 20, 'concurrency': 2, **options})


def soon(status, content=None):
    return status, content or {'error': {'message': 'later'}}, {'retry-after-ms': '1'}


def test_the_request_and_the_answer(serve, build, key):
    server = serve(echo)
    llm = build(server, system='Be brief.', temperature=0.5, max_tokens=7, seed=3, extra={'top_k': 4},
                price_prompt=2, price_completion=6)
    completion = llm.complete(prompts(1))[0]
    assert (completion.text, completion.model, completion.finish_reason) == ('to prompt 0', 'scripted-1', 'stop')
    assert (completion.prompt_tokens, completion.completion_tokens) == (10, 5)
    assert completion.cost == llm.client.cost == pytest.approx(50e-6) and llm.client.tokens == 15
    assert server.bodies == [{
        'model': 'm', 'temperature': 0.5, 'max_tokens': 7, 'seed': 3, 'top_k': 4,
        'messages': [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': 'prompt 0'}]}]
    assert server.headers[0]['authorization'] == f'Bearer {key}'


def test_what_is_none_is_left_to_the_server(serve, build):
    server = serve(echo)
    build(server, temperature=None, max_tokens=None).complete(prompts(1))
    assert server.bodies[0].keys() == {'model', 'messages'}


def test_completions_are_in_the_order_of_the_prompts(serve, build):
    def script(number, body):
        time.sleep(0.05 * (3 - int(said(body)[-1])))
        return echo(number, body)

    texts = [one.text for one in build(serve(script), concurrency=4).complete(prompts(4))]
    assert texts == [f'to prompt {index}' for index in range(4)]


def test_results_arrive_as_they_finish(serve, build):
    go = threading.Event()

    def script(number, body):
        if said(body) == 'prompt 0':
            go.wait(10)
        return echo(number, body)

    order = []
    for index, result in build(serve(script)).stream(prompts(4)):
        order.append(index)
        assert result.text == f'to prompt {index}'
        if len(order) == 3:
            go.set()
    assert order == [1, 2, 3, 0]


def test_only_what_can_be_sent_is_pulled(serve, build):
    server, pulled, through = serve(echo), 0, 0

    def source():
        nonlocal pulled
        for prompt in prompts(12):
            pulled += 1
            assert pulled - through <= 3
            yield prompt

    for _ in build(server, concurrency=3).stream(source()):
        through += 1
    assert (pulled, through) == (12, 12)
    assert server.most <= 3


@pytest.mark.slow
def test_results_do_not_wait_for_a_slow_source(serve, build):
    """Between two prompts that take long to come, what has finished is yielded."""
    finished = threading.Event()

    def script(number, body):
        finished.set()
        return echo(number, body)

    def source():
        yield prompts(1)[0]
        finished.wait(10)
        time.sleep(0.3)
        yield prompts(2)[1]
        assert first.is_set(), 'a third prompt was pulled before the first answer was handed over'
        yield prompts(3)[2]

    first = threading.Event()
    for index, _ in build(serve(script), concurrency=8).stream(source()):
        if index == 0:
            first.set()
    assert first.is_set()


def test_a_source_that_fails_loses_nothing_in_flight(serve, build):
    def source():
        yield from prompts(2)
        raise RuntimeError('the source broke')

    results = []
    with pytest.raises(RuntimeError, match='the source broke'):
        for pair in build(serve(echo), concurrency=4).stream(source()):
            results.append(pair)
    assert sorted(index for index, _ in results) == [0, 1]


def test_a_wrong_key_stops_everything_without_a_retry(serve, build, key):
    server = serve(lambda number, body: (401, {'error': {'message': f'Incorrect API key provided: {key}'}},
                                         {'x-should-retry': 'true'}))
    llm = build(server, concurrency=1)
    results = [result for _, result in llm.stream(prompts(5))]
    assert len(server.bodies) == 1
    assert len(results) == 5 and all(result is results[0] for result in results)
    assert isinstance(results[0], ChatError) and results[0].status == 401
    assert 'the key of LOOPBACK_KEY' in str(results[0]) and key not in str(results[0])
    with pytest.raises(ChatError):
        llm.complete(prompts(1))
    assert len(server.bodies) == 1


@pytest.mark.parametrize(('status', 'code'), [(403, None), (402, None), (429, 'insufficient_quota')])
def test_what_concerns_the_account_stops_everything(serve, build, status, code):
    server = serve(lambda number, body: (status, {'error': {'message': 'No access to m.', 'code': code}}))
    results = [result for _, result in build(server, concurrency=1, max_retries=0).stream(prompts(3))]
    assert len(server.bodies) == 1 and {result.status for result in results} == {status}
    assert 'No access to m.' in str(results[0])


def test_a_bad_request_is_not_repeated_and_the_others_go_on(serve, build):
    def script(number, body):
        if said(body) == 'prompt 1':
            return 400, {'error': {'message': 'too long'}}, {'x-should-retry': 'true'}
        return echo(number, body)

    server = serve(script)
    results = dict(build(server).stream(prompts(3)))
    assert len(server.bodies) == 3
    assert results[1].status == 400 and 'too long' in str(results[1])
    assert results[0].text == 'to prompt 0' and results[2].text == 'to prompt 2'
    with pytest.raises(ChatError, match='too long'):
        build(server).complete(prompts(3))


def test_an_unknown_model_names_it(serve, build):
    results = dict(build(serve(lambda number, body: (404, {'error': {'message': 'no such model'}}))).stream(prompts(1)))
    assert "'m' (404): no such model" in str(results[0]) and 'base_url' in results[0].remedy


@pytest.mark.slow
def test_retry_after_is_honoured(serve, build):
    times = []

    def script(number, body):
        times.append(time.monotonic())
        return (429, {'error': {'message': 'slow down'}}, {'Retry-After': '1'}) if number == 0 else echo(number, body)

    assert build(serve(script)).complete(prompts(1))[0].text == 'to prompt 0'
    assert len(times) == 2 and 0.95 < times[1] - times[0] < 3


@pytest.mark.parametrize('status', [408, 409, 429, 500, 503])
def test_twice_failed_then_good(serve, build, status):
    server = serve(lambda number, body: soon(status) if number < 2 else echo(number, body))
    assert build(server).complete(prompts(1))[0].text == 'to prompt 0'
    assert len(server.bodies) == 3


def test_retries_end(serve, build):
    server = serve(lambda number, body: soon(503))
    with pytest.raises(ChatError, match='503.*after 2 more attempts: later'):
        build(server, max_retries=2).complete(prompts(1))
    assert len(server.bodies) == 3


def test_a_wait_of_many_minutes_is_an_error_at_once(serve, build):
    server = serve(lambda number, body: (429, {'error': {'message': 'tomorrow'}}, {'Retry-After': '86400'}))
    with pytest.raises(ChatError, match=r'\(429\): tomorrow'):
        build(server).complete(prompts(1))
    assert len(server.bodies) == 1


@pytest.mark.slow
def test_a_stalled_connection_is_given_up(serve, build):
    def script(number, body):
        if said(body) == 'prompt 0':
            server.released.wait(10)
        return echo(number, body)

    server = serve(script)
    start = time.monotonic()
    results = dict(build(server, timeout=0.5, max_retries=0).stream(prompts(2)))
    assert time.monotonic() - start < 5
    assert isinstance(results[0], ChatError) and 'did not answer within 0.5 s' in str(results[0])
    assert results[1].text == 'to prompt 1'


@pytest.mark.slow
def test_a_stall_is_tried_again(serve, build):
    def script(number, body):
        if number == 0:
            server.released.wait(10)
        return echo(number, body)

    server = serve(script)
    assert build(server, timeout=0.5, max_retries=1).complete(prompts(1))[0].text == 'to prompt 0'


@pytest.mark.slow
@pytest.mark.parametrize('how', [lambda: None, lambda: (200, '{"id": "1", "cho', {'Content-Length': 500})],
                         ids=['hung up', 'cut off'])
def test_a_broken_connection_is_tried_again_then_reported(serve, build, how):
    server = serve(lambda number, body: how())
    with pytest.raises(ChatError, match='cannot be reached or broke off, also after 1 more attempts'):
        build(server, max_retries=1).complete(prompts(1))
    assert len(server.bodies) == 2
    server = serve(lambda number, body: how() if number == 0 else echo(number, body))
    assert build(server, max_retries=1).complete(prompts(1))[0].text == 'to prompt 0'


def test_a_server_that_is_not_there_is_named(serve, build):
    server = serve(echo)
    server.stop()
    with pytest.raises(ChatError, match=f'{server.url} cannot be reached'):
        build(server, max_retries=0).complete(prompts(1))


UNREADABLE = {
    'malformed': (200, '{"id": "1", "choices": [{'), 'html': (200, '<html>hello</html>', {'Content-Type': 'text/html'}),
    'a list': (200, '[1, 2]'), 'null': (200, 'null'), 'a number': (200, '3'), 'nothing': (200, ''),
    'no choices': (200, chat_answer('x', choices=[])), 'choices null': (200, chat_answer('x', choices=None)),
    'no choices at all': (200, {'id': '1'}), 'odd choices': (200, chat_answer('x', choices='abc')),
    'no message': (200, chat_answer('x', choices=[{'index': 0}])), 'empty text': (200, chat_answer('  ')),
    'no text': (200, chat_answer(None, finish_reason='length')), 'odd usage': (200, chat_answer('', usage='many'))}


@pytest.mark.parametrize('answer', UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_answer_fails_alone(serve, build, answer):
    server = serve(lambda number, body: answer if said(body) == 'prompt 0' else echo(number, body))
    results = dict(build(server).stream(prompts(2)))
    assert type(results[0]) is DataError, results[0]
    assert server.url in str(results[0]) or 'empty answer' in str(results[0])
    assert results[1].text == 'to prompt 1'


def test_an_answer_without_usage_counts_nothing(serve, build):
    llm = build(serve(lambda number, body: (200, chat_answer('good', usage=None))), price_prompt=1, price_completion=1)
    completion = llm.complete(prompts(1))[0]
    assert (completion.prompt_tokens, completion.completion_tokens, completion.cost) == (None, None, None)


@pytest.mark.parametrize('budget', [dict(budget_tokens=40), dict(budget=1, price_prompt=2e4, price_completion=4e4)])
def test_a_spent_budget_sends_nothing_more(serve, build, budget):
    """Each answer takes 15 tokens and 0.40 dollars: the third spends the budget."""
    server = serve(echo)
    results = [result for _, result in build(server, concurrency=1, **budget).stream(prompts(6))]
    assert [type(result) for result in results] == [Completion] * 3 + [BudgetError] * 3
    assert 'Not sent' in str(results[-1]) and len(server.bodies) == 3


def test_what_is_in_flight_when_the_budget_ends_still_counts(serve, build):
    together = threading.Barrier(2, timeout=10)

    def script(number, body):
        together.wait()
        return echo(number, body)

    llm = build(serve(script), budget_tokens=15)
    results = [result for _, result in llm.stream(prompts(5))]
    assert [type(result) for result in results].count(Completion) == 2
    assert llm.client.tokens == 30


def test_a_budget_needs_a_server_that_counts(serve, build):
    server = serve(lambda number, body: (200, chat_answer('good', usage=None)))
    results = [result for _, result in build(server, concurrency=1, budget_tokens=100).stream(prompts(3))]
    assert results[0].text == 'good' and [type(result) for result in results[1:]] == [BudgetError] * 2
    assert 'does not report' in str(results[1]) and len(server.bodies) == 1


@pytest.mark.slow
def test_requests_are_spaced(serve, build):
    server, start = serve(echo), time.monotonic()
    build(server, concurrency=4, requests_per_minute=600).complete(prompts(6))
    assert 0.49 < time.monotonic() - start < 3


@pytest.mark.slow
def test_tokens_are_spaced_by_what_the_answers_took(serve, build):
    """15 tokens each at 100 a second, one after the other."""
    server, start = serve(echo), time.monotonic()
    build(server, concurrency=1, tokens_per_minute=6000).complete(prompts(5))
    assert 0.55 < time.monotonic() - start < 3


def test_a_stop_ends_the_waiting_for_a_slot(serve, build):
    server, start = serve(lambda number, body: (401, {})), time.monotonic()
    results = [result for _, result in build(server, concurrency=3, requests_per_minute=2).stream(prompts(5))]
    assert time.monotonic() - start < 5 and len(server.bodies) == 1 and len(results) == 5


def test_a_misfit_is_sent_back_once(serve, build):
    answers = ['no JSON', '{"text": "good"}', '{"text": 3}', '{"words": 1}']
    server = serve(lambda number, body: (200, chat_answer(answers[number])))
    llm = build(server, concurrency=1, price_prompt=1, price_completion=1)
    good, bad = llm.complete([replace(prompt, schema=SCHEMA) for prompt in prompts(2)])
    assert [one.text for one in (good, bad)] == ['{"text": "good"}', '{"words": 1}']
    for one in (good, bad):
        assert (one.prompt_tokens, one.completion_tokens, one.cost) == (20, 10, pytest.approx(30e-6)), 'of both'
    roles = [message['role'] for message in server.bodies[1]['messages']]
    assert roles == ['user', 'assistant', 'user'] and 'is not JSON' in said(server.bodies[1])
    assert server.bodies[0]['response_format']['json_schema']['schema'] == SCHEMA
    assert len(server.bodies) == 4


@pytest.mark.slow
def test_what_stays_unfit_fails_its_record_and_counts(serve, key, images, language, encoder):
    server = serve(lambda number, body: (200, chat_answer('{"things": 1}')))
    language |= dict(prompt='questions', llm=dict(type='OpenAILLM', model='m', base_url=server.url))
    report = (pipeline := DescriptionPipeline(language)).run(images[:2])
    assert len(report.failed) == 2 and len(server.bodies) == 4 and 'two answers that do not fit' in report.failures()
    assert (pipeline.usage.prompt_tokens, pipeline.usage.completion_tokens) == (40, 20)


GOOD = 'A wall stands on the right.'


@pytest.mark.parametrize('answer', [
    chat_answer(f'<think>Hm.</think>\n{GOOD}'), chat_answer([{'type': 'text', 'text': GOOD}]),
    chat_answer([{'type': 'thinking', 'thinking': [{'type': 'text', 'text': 'Hm.'}]}, {'type': 'text', 'text': GOOD}]),
    chat_answer(f'Sure, here is the description: **{GOOD}** Let me know if you need more!'), chat_answer(f'"{GOOD}"'),
    chat_answer(GOOD, choices=[{'index': 0, 'finish_reason': 'stop', 'message': {
        'role': 'assistant', 'content': GOOD, 'reasoning_content': 'Hm.'}}])])
def test_the_description_alone_is_the_answer(serve, build, answer):
    completion, = build(serve(lambda number, body: (200, answer))).complete(prompts(1))
    assert completion.text == GOOD and completion.prompt_tokens == 10


def test_a_lone_surrogate_is_replaced(serve, build):
    answer = json.dumps(chat_answer('A XX wall.')).replace('XX', '\\ud83d')
    completion, = build(serve(lambda number, body: (200, answer))).complete(prompts(1))
    assert completion.text == 'A \ufffd wall.'


def message(**parts):
    return chat_answer('', choices=[{'index': 0, 'finish_reason': 'stop', 'message': {'role': 'assistant', **parts}}])


@pytest.mark.parametrize(('status', 'answer', 'said'), [
    (200, chat_answer('<think>Hm.', finish_reason='length'), 'only its reasoning.*Raise max_tokens'),
    (200, message(content=None, reasoning_content='Hm.'), 'only its reasoning'),
    (200, message(content='', reasoning='Hm.'), 'only its reasoning'),
    (200, chat_answer("I'm sorry, but I can't help."), "scripted-1 refused.*I'm sorry"),
    (200, message(content=None, refusal='I cannot assist.'), 'refused.*I cannot assist'),
    (200, chat_answer('', finish_reason='content_filter'), 'content filter of scripted-1'),
    (200, chat_answer('A wall', finish_reason='content_filter'), 'content filter of scripted-1'),
    (400, {'error': {'message': 'The prompt was filtered.', 'code': 'content_filter'}},
     'content filter.*The prompt was filtered'),
    (400, {'error': {'message': 'No.', 'innererror': {'code': 'ResponsibleAIPolicyViolation'}}}, 'content filter.*No'),
    (403, {'error': {'message': 'flagged', 'code': 'content_policy_violation'}}, 'content filter.*flagged'),
    (200, {'error': {'message': 'model is loading', 'code': 503}},
     r"instead of an answer to 'm' \(503\): model is loading"),
    (200, {'error': 'out of memory'}, 'instead of an answer.*out of memory'),
    (200, {'detail': 'Not found here'}, 'instead of an answer.*Not found here'),
    (200, {'object': 'error', 'message': 'too long', 'code': 40303}, 'instead of an answer.*too long'),
    (200, {'choices': [{'error': {'message': 'upstream died'}}]}, 'instead of an answer.*upstream died'),
    (200, 'data: {"id": "x"}', 'is not a chat completion: it begins with .data: ')])
def test_an_answer_without_a_description_says_why_and_fails_alone(serve, build, status, answer, said):
    headers = {'Content-Type': 'text/event-stream'} if isinstance(answer, str) else {}
    server = serve(lambda number, body: (status, answer, headers) if asked(body) == 'prompt 0' else echo(number, body))
    results = dict(build(server, concurrency=1).stream(prompts(2)))
    assert re.search(said, str(results[0]), re.DOTALL) and results[1].text == 'to prompt 1'
    assert len(server.bodies) == 2, 'asking again is of no use'


def test_json_inside_of_prose_is_not_asked_for_again(serve, build):
    server = serve(lambda number, body: (200, chat_answer('Here it is:\n```json\n{"text": "A wall."}\n```\nEnjoy!')))
    completion, = build(server).complete([replace(prompts(1)[0], schema=SCHEMA)])
    assert completion.text == '{"text": "A wall."}' and len(server.bodies) == 1


@pytest.mark.parametrize('proxies', [{'http_proxy': 'http://127.0.0.1:9'}, {'all_proxy': 'socks5://127.0.0.1:9'},
                                     {'ALL_PROXY': 'nonsense://x'}])
def test_a_server_of_this_machine_needs_no_proxy(serve, build, monkeypatch, proxies):
    for name, value in proxies.items():
        monkeypatch.setenv(name, value)
    assert build(serve(echo)).complete(prompts(1))[0].text == 'to prompt 0'


def test_a_proxy_is_used_and_named_where_it_fails(serve, key, monkeypatch):
    proxy = serve(echo)
    monkeypatch.setenv('http_proxy', proxy.url.removesuffix('/v1').replace('//', '//me:s3cret@'))
    llm = OpenAILLM('m', base_url='http://llm.invalid/v1', max_retries=0, timeout=5)
    assert llm.complete(prompts(1))[0].text == 'to prompt 0' and len(proxy.bodies) == 1
    proxy.script = lambda number, body: (503, {'error': {'message': 'no route'}})
    with pytest.raises(ChatError, match='503.*through the proxy that http_proxy names: no route'):
        llm.complete(prompts(1))
    proxy.stop()
    with pytest.raises(ChatError, match='(?s)through the proxy that http_proxy names: .*unset http_proxy, or set '
                                        'no_proxy=llm.invalid') as caught:
        OpenAILLM('m', base_url='http://llm.invalid/v1', max_retries=0, timeout=5).complete(prompts(1))
    assert 's3cret' not in str(caught.value)


def test_the_key_is_nowhere(serve, build, key, caplog):
    caplog.set_level(logging.DEBUG)
    leaks = [(200, chat_answer(f'your key is {key}', model=f'm-{key}')), (200, chat_answer('', model=key)),
             (400, {'error': {'message': f'bad {key}'}}), soon(500, {'error': key}), (200, f'{{{key}'),
             (200, key, {'Content-Type': 'text/plain'}), None, (403, f'no {key}'), (401, {'error': {'message': key}})]
    for leak in leaks:
        llm = build(serve(lambda number, body, leak=leak: leak), max_retries=0)
        (_, result), = llm.stream(prompts(1))
        shown = f'{result} {result!r} {llm!r} {llm.client!r}'
        if isinstance(result, Exception):
            shown += ''.join(traceback.TracebackException.from_exception(result, capture_locals=True).format())
            assert result.__cause__ is None and result.__context__ is None and result.__traceback__ is None
        assert key not in shown
    assert key not in caplog.text


@pytest.mark.slow
def test_a_run_leaves_the_key_in_no_file(serve, key, images, language, encoder, tmp_path):
    def script(number, body):
        return (400, {'error': {'message': f'not with {key}'}}) if number == 1 else echo(number, body)

    server = serve(script)
    language['llm'] = dict(type='OpenAILLM', model='m', base_url=server.url, api_key_env='LOOPBACK_KEY', concurrency=1)
    pipeline = DescriptionPipeline(language)
    pipeline.encoder = encoder
    report = pipeline.run(images)
    assert (len(report.done), len(report.failed), len(server.bodies)) == (3, 1, 4)
    assert key not in report.failures() and 'not with ***' in report.failures()
    files = [file for file in tmp_path.rglob('*') if file.is_file()]
    assert any(b'scripted-1' in file.read_bytes() for file in files)
    assert not any(key.encode() in file.read_bytes() for file in files)


@pytest.mark.parametrize('change', [
    lambda key: key, lambda key: key[:10], lambda key: key[-8:], lambda key: key[::-1],
    lambda key: f'{key[:3]}****{key[-3:]}',
    lambda key: base64.b64encode(key.encode()).decode(), lambda key: key.encode().hex(), quote])
def test_an_echo_of_the_key_reaches_no_file(serve, key, images, language, encoder, tmp_path, change):
    echoed = change(key)

    def script(number, body):
        return (500, {'error': {'message': f'bad {echoed}!'}}) if number == 1 else (200,
                                                                                    chat_answer(f'A wall {echoed}.'))

    server = serve(script)
    language['llm'] = dict(type='OpenAILLM', model='m', base_url=server.url, api_key_env='LOOPBACK_KEY', concurrency=1,
                           max_retries=0)
    pipeline = DescriptionPipeline(language)
    pipeline.encoder = encoder
    report = pipeline.run(images[:2])
    assert len(report.failed) == 1 and 'bad ***!' in report.failures() and echoed not in report.failures()
    kept = [file.read_text() for file in tmp_path.rglob('*.json')]
    assert any('A wall ***.' in text for text in kept) and not any(echoed in text for text in kept)


def test_where_the_key_comes_from(serve, key, monkeypatch, tmp_path):
    server = serve(echo)
    file = tmp_path / 'key'
    file.write_text(f'{key}-of-the-file\n')
    OpenAILLM('m', base_url=server.url, api_key_file=str(file)).complete(prompts(1))
    assert server.headers[-1]['authorization'] == f'Bearer {key}-of-the-file'
    # A key for OpenAI goes to no other server unasked.
    monkeypatch.setenv('OPENAI_API_KEY', 'sk-openai')
    OpenAILLM('m', base_url=server.url).complete(prompts(1))
    assert 'sk-openai' not in str(server.headers[-1])
    monkeypatch.delenv('OPENAI_API_KEY')
    with pytest.raises(ConfigError, match='no API key in the environment variable OPENAI_API_KEY'):
        OpenAILLM('m')
    with pytest.raises(ConfigError, match='cannot be read from the file'):
        OpenAILLM('m', api_key_file=str(tmp_path / 'absent'))
    for wrong in ('sk two words', 'sk-ü', 'sk-1\nsk-2'):
        file.write_text(wrong)
        with pytest.raises(ConfigError, match='cannot be an API key') as caught:
            OpenAILLM('m', api_key_file=str(file))
        assert wrong not in str(caught.value)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(concurrency=0), 'concurrency is 0'), (dict(timeout=-1), 'timeout is -1'),
    (dict(budget=1), 'price_prompt or price_completion is missing'), (dict(price_prompt=1), 'price_completion'),
    (dict(base_url='http://me:s3cret@host/v1'), 'not a plain http'), (dict(base_url='host:80'), 'not a plain http'),
    (dict(extra={'extra_headers': {'Authorization': 's3cret'}}), 'named like a secret'),
    (dict(extra={'user_key': 's3cret'}), 'looks like one: user_key'), (dict(extra={'x': 'Bearer s3cret'}),
                                                                       'looks like one: x'),
    (dict(extra={'x': object()}), 'plain data'), (dict(extra=3), 'extra is 3'), (dict(timeout='long'),
                                                                                 "timeout is 'long'"),
    (dict(concurrency='4'), "concurrency is '4'"), (dict(concurrency=1.5), 'concurrency is 1.5'),
    (dict(max_tokens=float('nan')), 'max_tokens is nan'), (dict(temperature='hot'), "temperature is 'hot'"),
    (dict(budget=-1), 'budget is -1'), (dict(base_url=3), 'base_url'), (dict(api_key='s3cret'),
                                                                        "no argument 'api_key'"),
    (dict(api_key_env='sk-s3cret-0123456789'), 'not the name of an environment variable'),
    (dict(api_key_env='9f86d081884c7d659a2feaa0'), 'looks like a key'), (dict(api_key_env=3), 'api_key_env is 3'),
    (dict(api_key_file='sk-s3cret-0123456789'), r'from the file \*\*\*'),
    (dict(api_key_env='A', api_key_file='b'), 'Both api_key_env and api_key_file')])
def test_arguments_that_make_no_sense(options, message):
    pytest.importorskip('openai')
    with pytest.raises(ConfigError, match=message) as caught:
        OpenAILLM('m', **{'base_url': 'http://127.0.0.1:1/v1', **options})
    assert 's3cret' not in str(caught.value) and '9f86d0' not in str(caught.value)


def test_from_a_config(serve):
    server = serve(echo)
    config = Config(dict(llm=dict(type='OpenAILLM', model='m', base_url=server.url,
                                  extra=dict(options=dict(deep=[1, 2])))))
    assert LLMS.build(config.llm).complete(prompts(1))[0].text == 'to prompt 0'
    assert server.bodies[0]['options'] == {'deep': [1, 2]}


def test_how_it_runs_is_no_part_of_what_it_makes():
    made = dict(type='OpenAILLM', model='m', temperature=0.5, extra={'top_k': 4})
    runtime = dict(api_key_env='A', concurrency=9, requests_per_minute=5, tokens_per_minute=5, timeout=3, max_retries=1,
                   price_prompt=1, price_completion=2, budget=3, budget_tokens=4)
    assert identity(LLMS, {**made, **runtime}) == identity(LLMS, made)
    assert identity(LLMS, {**made, 'temperature': 0}) != identity(LLMS, made)


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'openai', None)
    with pytest.raises(ConfigError, match=r"(?s)package openai.*pip install 'vlfusion\[openai\]'"):
        OpenAILLM('m', base_url='http://127.0.0.1:1/v1')


def test_the_guide(request, monkeypatch, tmp_path):
    page = (request.config.rootpath / 'docs/howto/llm.md').read_text()
    *configs, module = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    monkeypatch.setenv('OPENAI_API_KEY', 'sk-none')
    for config in configs:
        keys = {}
        exec(config, keys)
        (part,) = keys['language'].values()
        part = part[0] if isinstance(part, list) else part
        if part['type'].startswith('OpenAI'):
            {'OpenAILLM': OpenAILLM, 'OpenAICaptioner': OpenAICaptioner}[part.pop('type')](**part)
        else:
            inspect.signature(LLMS.get(part.pop('type'))).bind(**part)
    assert len(configs) == 4
    (tmp_path / 'my_llm.py').write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    undo = snapshot()
    try:
        importlib.import_module('my_llm')
        llm = LLMS.build(dict(type='ShoutingLLM'))
        assert llm.complete([Prompt('', (Observation('a tree'),), '')])[0].text == 'A TREE'
        assert identity(LLMS, dict(type='ShoutingLLM'))['type'] == 'my_llm.ShoutingLLM'
    finally:
        undo()
        sys.modules.pop('my_llm', None)


def test_a_client_alone(serve):
    client = ChatClient('m', serve(echo).url)
    assert client.complete([Chat([{'role': 'user', 'content': 'hello'}])])[0].text == 'to hello'
    assert client.complete([]) == []
