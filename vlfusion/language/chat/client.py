"""Client for servers that speak OpenAI's chat protocol, shared by LLMs and captioners."""

import json
import os
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from operator import itemgetter
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from vlfusion.errors import ConfigError, DataError, VLFusionError, needs
from vlfusion.guards.arguments import fits, words_of
from vlfusion.guards.ranges import COUNT, NOT_NEGATIVE, POSITIVE, WHOLE
from vlfusion.guards.redaction import eraser, mask, without_secrets
from vlfusion.language.answers.clean import message, read
from vlfusion.language.answers.structure import combined, correction_request, schema_check
from vlfusion.language.chat.api_key import read_key
from vlfusion.language.chat.proxies import find_proxy
from vlfusion.language.interfaces import Completion
from vlfusion.registry import check_arguments

OPENAI_URL = 'https://api.openai.com/v1'
_REMEDIES = {400: 'Check model, max_tokens, temperature and extra: the server did not accept one of them.',
             402: 'Check the account; earlier answers are kept.',
             403: 'Check that this key may use this model.',
             404: 'Check model and base_url; most base_urls end in /v1.',
             407: 'Give the proxy its user and password, as in http://user:password@host:8080.',
             429: 'Lower concurrency, set requests_per_minute or tokens_per_minute, or check the quota of the account.'}


#: Fields in which servers send the reasoning of a model.
_REASONING = ('reasoning_content', 'reasoning', 'thinking')
#: Words in the error of a server that mean: a content filter refused the request.
_FILTERS = ('content_filter', 'responsibleaipolicy', 'content_policy', 'content management policy', 'safety system')


@dataclass(frozen=True)
class Chat:
    """One request: messages, each with a role and a content, and the JSON schema of the answer, if any."""

    messages: Sequence[Mapping]
    schema: Mapping | None = None


class ChatError(VLFusionError):
    """Error of a server that refused a request, failed, or was not reached.

    Attributes:
        status: the HTTP status; None if the server sent none.
        filtered: True if a content filter refused this request.
    """

    def __init__(self, problem: str, remedy: str = '', status: int | None = None, filtered: bool = False):
        super().__init__(problem, remedy)
        self.status, self.filtered = status, filtered


class BudgetError(VLFusionError):
    """Error of a request that was not sent because the budget is spent or cannot be kept."""


class ChatClient:
    """Client that sends many chats, several at a time.

    The openai package retries 408, 409, 429, 5xx, time-outs and broken connections, with backoff and jitter or after
    the server's Retry-After (up to two minutes). Nothing else is retried.

    Args:
        model: the model's name at the server.
        base_url: the address of the server.
        api_key_env: the environment variable that holds the key; at OpenAI the default is `OPENAI_API_KEY`. Any other
            server gets a key only if one is named.
        api_key_file: a file that holds the key and nothing else, instead of `api_key_env`.
        concurrency: requests in flight at once.
        requests_per_minute: highest rate of requests, which are spaced evenly. Retries are not counted.
        tokens_per_minute: highest rate of tokens, spaced evenly. The rate uses an estimate for each request, corrected
            when the answer arrives.
        timeout: seconds without a byte from the server after which a request is given up.
        max_retries: further attempts.
        temperature: 0 for the likeliest answer; None leaves it to the server.
        max_tokens: the longest answer; None leaves it to the server.
        seed: the random seed, for servers that can repeat a sampled answer.
        extra: further fields of the request's body, such as `top_p`, or those that only one server knows; a
            `response_format` here replaces the one that a schema makes.
        price_prompt: US dollars per million tokens read.
        price_completion: US dollars per million tokens written.
        budget: limit in US dollars. Once it is reached, nothing more is sent. Answers in flight still arrive and count.
        budget_tokens: limit of tokens read and written, which works as `budget` does.

    Attributes:
        tokens: tokens read and written so far.
        cost: US dollars spent so far; 0 without prices.

    Raises:
        ConfigError: openai is not installed, the named key does not exist, or an argument is out of range.
    """

    def __init__(self, model: str, base_url: str = OPENAI_URL, *, api_key_env: str | None = None,
                 api_key_file: str | os.PathLike | None = None, concurrency: int = 4,
                 requests_per_minute: float | None = None, tokens_per_minute: float | None = None,
                 timeout: float = 120, max_retries: int = 5, temperature: float | None = 0,
                 max_tokens: int | None = 512, seed: int | None = None, extra: Mapping | None = None,
                 price_prompt: float | None = None, price_completion: float | None = None,
                 budget: float | None = None, budget_tokens: int | None = None):
        with needs('An OpenAI-compatible server', 'the package openai', 'openai'):
            import openai
        check_options(dict(
            model=model, base_url=base_url, concurrency=concurrency, requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute, timeout=timeout, max_retries=max_retries, temperature=temperature,
            max_tokens=max_tokens, seed=seed, price_prompt=price_prompt, price_completion=price_completion,
            budget=budget, budget_tokens=budget_tokens, api_key_env=api_key_env, extra=extra))
        if (price_prompt is None) != (price_completion is None) or (budget is not None and price_prompt is None):
            raise ConfigError('The cost cannot be computed: price_prompt or price_completion is missing.',
                              'Give both, in US dollars per million tokens.')
        address = urlsplit(base_url)
        if address.scheme not in ('http', 'https') or address.username or address.password or address.query:
            raise ConfigError('base_url is not a plain http or https address.', "Write it like 'http://host:8000/v1', "
                              'without user, password or query; name a key by api_key_env or api_key_file.')
        fields = dict(temperature=temperature, max_tokens=max_tokens, seed=seed)
        extra = _plain(extra)
        self._body = {name: value for name, value in fields.items() if value is not None} | extra
        self.model, self.base_url, self.concurrency = model, base_url, concurrency
        self.timeout, self.max_retries = timeout, max_retries
        self.price_prompt, self.price_completion = price_prompt, price_completion
        self.budget, self.budget_tokens = budget, budget_tokens
        self.tokens, self.cost = 0, 0.0
        if address.hostname == 'api.openai.com' and api_key_file is None:
            api_key_env = api_key_env or 'OPENAI_API_KEY'
        self._key, self._key_source = read_key(api_key_env, api_key_file)
        self._clean = eraser(self._key) if self._key else str
        self._proxy = find_proxy(address)
        # httpx would also use proxies for this machine's own addresses, and fail at a proxy that it does not support.
        route = {'proxy': self._proxy.url} if self._proxy else {'trust_env': False, 'verify': _certificates()}
        self._base_error = openai.OpenAIError
        self._client = openai.OpenAI(
            api_key=self._key or 'none', base_url=base_url, timeout=timeout, max_retries=max_retries,
            http_client=openai.DefaultHttpxClient(timeout=timeout, event_hooks={'response': [_keep_refusal]},
                                                  **route))
        self._requests = requests_per_minute and _Pace(requests_per_minute)
        self._token_pace = tokens_per_minute and _Pace(tokens_per_minute)
        self._lock, self._halt, self._reason = threading.Lock(), threading.Event(), None

    def stream(self, chats: Iterable[Chat]) -> Iterator[tuple[int, Completion | Exception]]:
        """Yield the answer to each chat as soon as it arrives, in any order.

        At most `concurrency` chats are in flight. The error of one chat is yielded instead of its answer, and the
        others go on. A refused key (401, 403), an empty account and a spent budget concern all chats: the client sends
        nothing more, and the remaining chats get that error. If `chats` itself raises, the answers in flight are
        yielded first.

        The schema of a chat is sent along, and the answer is checked. An answer that does not fit is sent back once
        with the fault. The second answer counts, with the tokens of both; the caller checks that it fits.

        Yields:
            The position of a chat, and its Completion. The text of it is the description or the JSON alone, see
            `vlfusion.language.answers`. A chat that failed has a ChatError or a BudgetError instead, or a DataError if
            its answer holds no description.
        """
        results, source, ahead, failure = SimpleQueue(), enumerate(chats), 0, None
        while True:
            while source and ahead < self.concurrency and results.empty():
                try:
                    index, chat = next(source)
                except StopIteration:
                    source = None
                except Exception as error:
                    source, failure = None, error
                else:
                    # A daemon thread, so that the process can end although a server stalls.
                    threading.Thread(target=lambda index=index, chat=chat: results.put((index, self._outcome(chat))),
                                     daemon=True).start()
                    ahead += 1
            if not ahead:
                break
            yield results.get()
            ahead -= 1
        if failure:
            raise failure

    def complete(self, chats: Sequence[Chat]) -> list[Completion]:
        """Return the answers in order. If a chat failed, raise the first error after all answers have arrived."""
        return in_order(self.stream(chats))

    def _outcome(self, chat: Chat) -> Completion | Exception:
        try:
            return self._ask(chat)
        except Exception as error:
            # Frames and the errors of the package hold the request, and the request holds the key.
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)

    def _ask(self, chat: Chat) -> Completion:
        first = self._send(chat)
        fault = schema_check(chat.schema)(first.text) if chat.schema is not None else None
        if not fault:
            return first
        second = self._send(replace(chat, messages=[*chat.messages, {'role': 'assistant', 'content': first.text},
                                                    {'role': 'user', 'content': correction_request(fault)}]))
        return combined(first, second)

    def _send(self, chat: Chat) -> Completion:
        estimate = _characters(chat.messages) // 4  # about four characters a token
        for pace, amount in ((self._requests, 1), (self._token_pace, estimate)):
            if pace:
                self._halt.wait(pace.reserve(amount))
        if self._halt.is_set():
            raise self._reason
        start = time.perf_counter()
        try:
            answer = self._client.chat.completions.create(model=self.model, messages=list(chat.messages),
                                                          extra_body=_format(chat.schema) | self._body)
        except (self._base_error, ValueError) as error:
            raise self._explained(error) from None
        seconds = time.perf_counter() - start
        self._refuse_error(answer)
        try:
            tokens = [getattr(answer.usage, name, None) for name in ('prompt_tokens', 'completion_tokens')]
            cost = self._count(*tokens)
            choice = answer.choices[0]
            reply = choice.message
            sent = message(reply.content, _first(reply, *_REASONING), _first(reply, 'refusal'))
            reason, model = self._clean(str(choice.finish_reason or 'unknown')), str(answer.model or self.model)
        except (AttributeError, IndexError, TypeError):
            raise DataError(f'{self.base_url} sent an answer that is not a chat completion{self._beginning(answer)}.',
                            'Check that base_url is that of an OpenAI-compatible server.') from None
        if self._token_pace and None not in tokens:
            self._token_pace.reserve(sum(tokens) - estimate)
        sent = replace(sent, **{name: self._clean(text) for name, text in asdict(sent).items()})
        model = self._clean(model)
        text = read(sent, model, reason, schema_check(chat.schema) if chat.schema is not None else None)
        return Completion(text, model, *tokens, reason, seconds, cost)

    def _refuse_error(self, answer: object) -> None:
        """Raise ChatError if a server reports success but sends an error instead of an answer."""
        choices = getattr(answer, 'choices', None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        error = _first(answer, 'error', 'detail') or _first(choice, 'error')
        if not error and not choices and getattr(answer, 'object', None) == 'error':
            error = getattr(answer, 'message', None)
        if error:
            code = error.get('code') if isinstance(error, Mapping) else None
            status = code if isinstance(code, int) else 200
            raise self._refused(error, status, 'sent an error instead of an answer to')

    def _beginning(self, answer: object) -> str:
        """Return the beginning of an answer that is not JSON, for a message."""
        return f': it begins with {self._clean(answer)[:80]!r}' if isinstance(answer, str) and answer.strip() else ''

    def _count(self, read: int | None, written: int | None) -> float | None:
        """Add an answer to the tokens and dollars spent, stop the client at its budget, and return the answer's cost.

        Args:
            read: tokens that the model read.
            written: tokens that it wrote.
        """
        if read is None or written is None:
            if self.budget is not None or self.budget_tokens is not None:
                self._stop(BudgetError(f'Not sent: {self.base_url} does not report used tokens, so the budget '
                                       'cannot be kept.', 'Use a server that reports them, or set no budget.'))
            return None
        cost = None
        if self.price_prompt is not None:
            cost = (read * self.price_prompt + written * self.price_completion) / 1e6
        with self._lock:
            self.tokens += read + written
            self.cost += cost or 0
        for spent, limit, unit in ((self.cost, self.budget, 'US dollars'), (self.tokens, self.budget_tokens, 'tokens')):
            if limit is not None and spent >= limit:
                self._stop(BudgetError(f'Not sent: the budget of {limit} {unit} is spent.',
                                       'Earlier answers are kept. Raise the budget and run again for the rest.'))
        return cost

    def _stop(self, reason: VLFusionError) -> None:
        with self._lock:
            self._reason = self._reason or reason
        self._halt.set()

    def _explained(self, error: Exception) -> VLFusionError:
        """Translate an error of the package into one that holds neither the key nor the request."""
        import openai
        request = getattr(error, 'request', None)
        retries = int(request.headers.get('x-stainless-retry-count', 0)) if request else 0
        again = f', also after {retries} more attempts' if retries else ''
        if isinstance(error, openai.APITimeoutError):
            return ChatError(f'{self.base_url} did not answer within {self.timeout} s{again}{self._through()}.',
                             f'Raise timeout, lower concurrency, or check the server{self._or_proxy()}.')
        if isinstance(error, openai.APIConnectionError):
            cause = mask(self._clean(str(error.__cause__ or error)))
            return ChatError(f'{self.base_url} cannot be reached or broke off{again}{self._through()}: {cause}',
                             f'Check that the server runs{self._or_proxy()}; VLFUSION_SERVER or base_url names its '
                             'address. `vlfusion words --serve` starts a small one on this machine.')
        status = getattr(error, 'status_code', None)
        if status is None or isinstance(error, openai.APIResponseValidationError):
            return DataError(f'{self.base_url} sent an answer that cannot be read ({type(error).__name__}).',
                             'Check that base_url is that of an OpenAI-compatible server.')
        if status == 401:  # the server's words are left out, for they may quote parts of the key
            source = f'the key of {self._key_source}' if self._key else 'a request without a key'
            refused = ChatError(f'{self.base_url} refused {source} (401).',
                                'Name a valid key by api_key_env or api_key_file.', status)
            self._stop(refused)
            return refused
        refused = self._refused(error.body, status, 'refused a request to', again)
        if not refused.filtered and (status in (402, 403) or error.code == 'insufficient_quota'):
            self._stop(refused)
        return refused

    def _refused(self, body: object, status: int, what: str, again: str = '') -> 'ChatError':
        """Make the error of a server, with its own words."""
        words = next((body[name] for name in ('message', 'msg', 'detail') if body.get(name)), None) if isinstance(
            body, Mapping) else None
        words = mask(self._clean(str(words or body or 'no reason given')))[:500]
        filtered = any(name in str(body).lower() for name in _FILTERS)
        if filtered:
            return ChatError(f'A content filter of {self.base_url} {what} {self.model!r} ({status}): {words}',
                             'Change the prompt or the image, or ask another model.', status, filtered)
        through = self._through() if status in (403, 407, 502, 503, 504) else ''
        return ChatError(f'{self.base_url} {what} {self.model!r} ({status}){again}{through}: {words}',
                         _REMEDIES.get(status, 'Try again later; earlier answers are kept.'), status)

    def _through(self) -> str:
        return f' through the proxy that {self._proxy.variable} names' if self._proxy else ''

    def _or_proxy(self) -> str:
        host = urlsplit(self.base_url).hostname
        return f', and the proxy: unset {self._proxy.variable}, or set no_proxy={host}' if self._proxy else ''


def in_order(results: Iterable[tuple[int, object]]) -> list:
    """Return the results of a stream in the order of their positions, or raise the first error among them."""
    ordered = [result for _, result in sorted(results, key=itemgetter(0))]
    for result in ordered:
        if isinstance(result, Exception):
            raise result
    return ordered


class _Pace:
    """Pace that spaces amounts evenly in time."""

    def __init__(self, per_minute: float):
        self.seconds_each, self.free_at, self.lock = 60 / per_minute, 0.0, threading.Lock()

    def reserve(self, amount: float) -> float:
        """Return the seconds to wait before this amount may be sent. A negative amount gives an excess back."""
        with self.lock:
            now = time.monotonic()
            start = max(now, self.free_at)
            self.free_at = start + amount * self.seconds_each
        return start - now


def _keep_refusal(response) -> None:
    """Keep openai from repeating a refused request when the server asks for it."""
    if response.status_code in (400, 401, 403):
        response.headers.pop('x-should-retry', None)


def chat_client(part: str, model: str, options: Mapping) -> ChatClient:
    """Build the client of an LLM or captioner.

    Args:
        part: the class that uses the client, for messages.
        model: the model's name at the server.
        options: further arguments of `ChatClient`, from the config of the part.

    Raises:
        ConfigError: an option is unknown, or `ChatClient` refuses it.
    """
    check_arguments(ChatClient, {'type': part, **options})
    check_options({'model': model, **options})
    return ChatClient(model, **options)


#: Types and ranges of a client's options.
_TYPES = {'model': str, 'base_url': str, 'api_key_env': str, 'seed': int, 'extra': dict}
_RANGES = {**dict.fromkeys(('concurrency', 'max_tokens'), COUNT), 'max_retries': WHOLE,
           **dict.fromkeys(('timeout', 'requests_per_minute', 'tokens_per_minute'), POSITIVE),
           **dict.fromkeys(('temperature', 'price_prompt', 'price_completion', 'budget', 'budget_tokens'),
                           NOT_NEGATIVE)}


def check_options(options: Mapping) -> None:
    """Check the values of a client's options. None means that an option is not set.

    Raises:
        ConfigError: an option has the wrong type or is out of its range.
    """
    for name, value in options.items():
        if value is not None and name in _RANGES:
            _RANGES[name].check(name, value)
        elif value is not None and name in _TYPES and not fits(value, _TYPES[name]):
            raise ConfigError(f'{name} is {value!r}.', f'Give {words_of(_TYPES[name])}.')


def _plain(extra: Mapping | None) -> dict:
    """Check the further fields of each request: plain data without secrets, because records keep them."""
    try:
        plain = json.loads(json.dumps(dict(extra or {})))
    except (TypeError, ValueError) as error:
        raise ConfigError(f'extra must be a dict of plain data, but it holds something else: {error}.',
                          'Write extra=dict(top_p=0.9).') from None
    for name, value in plain.items():
        if without_secrets({name: value}) != {name: value}:
            raise ConfigError(f'extra holds an entry that is named like a secret or looks like one: {mask(name)}.',
                              'Name the key by api_key_env or api_key_file.')
    return plain


def _certificates() -> ssl.SSLContext | bool:
    """Use the certificates that the environment names, which OpenSSL reads, or those of the HTTP library (True)."""
    path = os.environ.get('SSL_CERT_FILE') or os.environ.get('SSL_CERT_DIR')
    return ssl.create_default_context() if path else True


def _first(thing: object, *names: str) -> Any:
    """Return the first of these attributes that exists and is not empty, else None."""
    return next((value for name in names if (value := getattr(thing, name, None))), None)


def _format(schema: Mapping | None) -> dict:
    """Return the part of a request that states the schema of the answer."""
    return {} if schema is None else {'response_format': {
        'type': 'json_schema', 'json_schema': {'name': 'answer', 'schema': schema}}}


def _characters(messages: Sequence[Mapping]) -> int:
    """Count the characters of text; images do not count."""
    contents = [message['content'] for message in messages]
    return sum(len(content) if isinstance(content, str) else sum(len(part.get('text', '')) for part in content)
               for content in contents)
