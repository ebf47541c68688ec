"""Secrets by name, by look and in echoes; and what only resembles one."""

import base64
from urllib.parse import quote

import pytest

from vlfusion.config import load_config
from vlfusion.guards.redaction import eraser, is_secret, mask, names_variable, without_secrets

KEY = 'sk-proj-Zq3vN8tR1mK6wX4bY9cD2fG7hJ5'
SECRET = ('key', 'apikey', 'api_key', 'API-Key', 'x-api-key', 'apiKey', 'APIKey', 'passwd', 'pwd', 'password',
          'db_password',
          'auth', 'basic_auth', 'Authorization', 'Proxy-Authorization', 'bearer', 'cookie', 'Set-Cookie', 'session',
          'sessionid', 'session_id', 'sessionId', 'token', 'hf_token', 'access_token', 'bearerToken', 'openai_key',
          'user_key',
          'openaiKey', 'openaikey', 'acme_key', 'client_secret', 'my_secret', 'private_key', 'credentials', 'api_key2',
          'api_keys', 'OPENAI_API_KEY', 'aws_secret_access_key', 'passphrase', 'jwt', 'user_pass')
HARMLESS = ('max_tokens', 'tokens', 'prompt_tokens', 'completion_tokens', 'budget_tokens', 'max_completion_tokens',
            'tokenizer',
            'keyboard', 'monkey', 'turkey', 'keys', 'num_key_value_heads', 'key_dim', 'sort_key', 'text_key',
            'pad_token',
            'eos_token', 'image_token', 'token_type', 'token_ids', 'author', 'secretary', 'api_key_env', 'api_key_file',
            'session_length', 'cookie_name', 'auth_url', 'pass_through', 'patch_tokens')


@pytest.mark.parametrize('name', SECRET)
def test_entries_of_these_names_are_left_out(name):
    assert without_secrets({'a': [{name: 's3cret', 'b': 1}]}) == {'a': [{'b': 1}]}


@pytest.mark.parametrize('name', HARMLESS)
def test_entries_of_these_names_stay(name):
    assert without_secrets({name: 'NAME', 'b': {name: 3}}) == {name: 'NAME', 'b': {name: 3}}


def test_what_is_no_text_is_no_key():
    kept = {'use_auth': True, 'token': 5, 'key': {'type': 'Linear', 'dim': 3}}
    assert without_secrets(kept) == kept
    assert without_secrets({'password': 1234, 'api_key': None, 'key': {'token': 'abc'}}) == {'key': {}}


def test_headers_in_any_form():
    headers = {'headers': {'Authorization': 'Bearer abc', 'X-Title': 'x'}, 'pairs': [('Cookie', 'a=b'), ('X-Title',
                                                                                                         'x')],
               'list': [{'name': 'X-Api-Key', 'value': 'abc'}], 'line': 'Authorization: Bearer abc123',
               'plain': 'Bearer abcdef'}
    assert without_secrets(headers) == {
        'headers': {'X-Title': 'x'}, 'pairs': [['Cookie', '***'], ['X-Title', 'x']], 'list': [{'name': 'X-Api-Key'}],
        'line': 'Authorization: Bearer ***', 'plain': 'Bearer ***'}


@pytest.mark.parametrize(('text', 'secret'), [
    (KEY, KEY), ('sk-abc123', 'abc123'), ('hf_AbCdEfGhIjKlMnOpQr', 'AbCdEf'), ('ghp_0123456789abcdef0123',
                                                                               '0123456789'),
    ('AKIAIOSFODNN7EXAMPLE', 'IOSFODNN'), ('xoxb-0123456789-abc', '0123456789'), ('eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0',
                                                                                  'eyJ'),
    ('Bearer abc123def456', 'abc123'), ('http://me:hunter2@host/', 'hunter2'), ('http://host/v1?key=hunter2',
                                                                                'hunter2'),
    ('api_key=hunter2', 'hunter2'), ('{"password": "hunter2"}', 'hunter2'), ('Authorization: Basic aHVudGVyMg==',
                                                                             'aHVudGVy')])
def test_what_looks_like_a_secret_is_hidden_under_any_name(text, secret):
    shown = without_secrets({'note': f'a {text} b'})['note']
    assert secret not in shown and shown.startswith('a ') and shown.endswith(' b')


@pytest.mark.parametrize('text', [
    'A man sits at the keyboard; a monkey holds a key and a token: both are bright.', 'The disk-abc123 label is worn.',
    'A sign says "Password: required", another "Bearer of the flag".', 'sentence-transformers/all-MiniLM-L6-v2',
    'http://localhost:8000/v1', 'sk-learn and hf_transfer', 'configs/film/film_med.py', 'data/text',
    '图像显示一条街道。'])
def test_what_does_not_look_like_one_stays(text):
    assert without_secrets(text) == mask(text) == text


def test_a_key_in_the_place_of_its_variable_is_hidden():
    assert without_secrets({'api_key_env': KEY}) == {'api_key_env': '***'}
    assert without_secrets({'api_key_env': '9f86d081884c7d659a2f'}) == {'api_key_env': '***'}
    assert names_variable('MY_KEY') and not names_variable(KEY)


def test_a_variable_put_into_a_config_reaches_no_dump(tmp_path, monkeypatch):
    monkeypatch.setenv('OPENAI_API_KEY', 'plain0looking1value')
    monkeypatch.setenv('DATA_ROOT', 'somewhere/else')
    path = tmp_path / 'config.py'
    path.write_text("language = dict(llm=dict(model='{{$OPENAI_API_KEY:}}', "
                    "extra=dict(user='u-{{$OPENAI_API_KEY:}}')))\n"
                    "data_root = '{{$DATA_ROOT:data}}'\n")
    config = load_config(path)
    assert config.language.llm.model == 'plain0looking1value', 'it is put in'
    assert without_secrets(config.to_dict()) == {
        'language': {'llm': {'model': '***', 'extra': {'user': 'u-***'}}}, 'data_root': 'somewhere/else'}


def test_without_secrets_is_done_once():
    data = {'api_key': KEY, 'url': 'http://a:b@host', 'note': f'Bearer {KEY}', 'api_key_env': KEY, 'n': 1}
    assert without_secrets(without_secrets(data)) == without_secrets(data)


ECHOES = {
    'whole': KEY, 'beginning': KEY[:12], 'end': KEY[-8:], 'middle': KEY[9:20], 'reversed': KEY[::-1],
    'upper': KEY.upper(),
    'part reversed': KEY[::-1][3:14], 'base64': base64.b64encode(KEY.encode()).decode(),
    'base64 with more': base64.b64encode(b'Bearer ' + KEY.encode()).decode(),
    'base64 of a part': base64.b64encode(KEY[5:25].encode()).decode(),
    'base64 for URLs': base64.urlsafe_b64encode(b'x' + KEY.encode()).decode(), 'hex': KEY.encode().hex(),
    'URL': quote(KEY), 'URL, every character': ''.join(f'%{byte:02x}' for byte in KEY.encode()),
    'JSON': ''.join(f'\\u{ord(letter):04x}' for letter in KEY), 'shortened': f'{KEY[:4]}****{KEY[-4:]}',
    'shortened by dots': f'{KEY[:3]}...{KEY[-3:]}', 'in two': f'{KEY[:15]} {KEY[15:]}', 'in a word': f'<{KEY}>'}


@pytest.mark.parametrize('echo', ECHOES.values(), ids=ECHOES)
def test_echoes_of_a_key_are_erased(echo):
    shown = eraser(KEY)(f'Incorrect key {echo} given')
    assert shown.startswith('Incorrect key') and shown.endswith('given') and '***' in shown
    left = shown.removeprefix('Incorrect key').removesuffix('given').replace('***', '').strip(' <>')
    assert left == ''


def test_a_description_without_the_key_is_not_touched():
    text = 'A man holds a key... and a wall stands on the right; **bright** it is. ' * 3
    for key in (KEY, 'EMPTY', 'ollama', 'x'):
        assert eraser(key)(text) == (text if key != 'x' else text.replace('x', '***'))


def test_names_are_judged_by_their_words():
    assert is_secret('my-token') and not is_secret('my-tokens') and not is_secret(3)
