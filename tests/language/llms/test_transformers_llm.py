"""A real, tiny Llama with random weights: what it says is nonsense, and the same nonsense every time."""

import sys
from dataclasses import replace

import pytest
import torch

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.interfaces import Prompt
from vlfusion.language.llms import VLLMLLM, TransformersLLM

TEMPLATE = ("{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}</s>{% endfor %}"
            "{% if add_generation_prompt %}<|assistant|>{% endif %}{{ suffix or '' }}")
PROMPTS = [Prompt(text, (), 'MRI') for text in (
    'A bright patch.', 'The image is dark in the lower left and grey everywhere else.', 'Grey', 'a b c d e f g h i j')]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A Llama of two layers with a context of 96 and a tokenizer trained on the prompts."""
    pytest.importorskip('transformers', reason="pip install 'vlfusion[language]'")
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    path = tmp_path_factory.mktemp('llama')
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator([prompt.text for prompt in PROMPTS], vocab_size=300, special_tokens=['<s>', '</s>'])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, bos_token='<s>', eos_token='</s>')
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=96, bos_token_id=0, eos_token_id=1, initializer_range=0.2))
    model.generation_config.update(top_k=5, top_p=0.9, temperature=0.7, do_sample=True)  # as many checkpoints have it
    model.save_pretrained(path)
    return str(path)


@pytest.fixture
def build(folder):
    torch.set_num_threads(1)
    return lambda **options: TransformersLLM(folder, **{'max_new_tokens': 12, **options})


def timeless(completions):
    return [replace(completion, seconds=0) for completion in completions]


def test_counts_and_names(build, folder):
    completions = build().complete(PROMPTS)
    assert len(completions) == 4
    for completion in completions:
        assert completion.model == folder and completion.cost is None and completion.seconds > 0
        assert 1 <= completion.completion_tokens <= 12 and completion.finish_reason in ('stop', 'length')
    assert len({completion.text for completion in completions}) > 1


def test_the_text_is_what_transformers_generates_of_the_rendered_chat(build):
    llm = build()
    ids = llm.tokenizer(f'<|user|>{PROMPTS[1].text}</s><|assistant|>', return_tensors='pt')['input_ids']
    expected = llm.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12,
                                  pad_token_id=1)[0, ids.shape[1]:]
    completion = llm.complete(PROMPTS[1:2])[0]
    assert completion.text == llm.tokenizer.decode(expected, skip_special_tokens=True).strip()
    assert (completion.prompt_tokens, completion.completion_tokens) == (ids.shape[1], len(expected))


def test_reasoning_that_the_template_begins_is_part_of_the_answer(build):
    completion = build(template_options={'suffix': '<think>\n'}).complete(PROMPTS[:1])[0]
    assert completion.text.startswith('<think>'), 'so that the pipeline can take it off'


@pytest.mark.parametrize('temperature', [0, 1.5])
@pytest.mark.parametrize('batch_size', [1, 3, 8])
def test_a_batch_gives_what_its_singles_give(build, batch_size, temperature):
    llm = build(batch_size=batch_size, temperature=temperature, seed=4)
    together = timeless(llm.complete(PROMPTS))
    assert together == [timeless(llm.complete([prompt]))[0] for prompt in PROMPTS]


def test_drawn_answers_depend_on_the_seed_alone(build):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = build(temperature=2., seed=1).complete(PROMPTS)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(6)
    assert timeless(first) == timeless(build(temperature=2., seed=1).complete(PROMPTS))
    assert timeless(first) != timeless(build(temperature=2., seed=2).complete(PROMPTS))


def test_the_end_token_and_the_limit(build, monkeypatch):
    """The third token that comes is made the end token."""
    llm = build(batch_size=2)
    free = llm.complete(PROMPTS[:1])[0]
    assert (free.finish_reason, free.completion_tokens) == ('length', 12)
    tokens = llm._tokens(0, PROMPTS[0])
    ids = torch.tensor([tokens])
    written = llm.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12,
                                 pad_token_id=1)[0, len(tokens):].tolist()
    end = written[2]
    monkeypatch.setattr(llm, '_ends', [end])
    stopped = llm.complete(PROMPTS[:2])[0]
    count = written.index(end) + 1
    assert (stopped.finish_reason, stopped.completion_tokens) == ('stop', count)


def test_a_prompt_that_does_not_fit_is_named(build):
    long = Prompt('Quite a long prompt it is, ' + 'word ' * 40, (), '')
    with pytest.raises(DataError, match=r'Prompt 1 \("Quite a long prompt it is, word word .*exceeds the 96'):
        build().complete([PROMPTS[0], long])
    llm = build(max_new_tokens=60)
    room = 96 - 60 - llm.complete([Prompt('a', (), '')])[0].prompt_tokens
    letters = Prompt('a' + 'z' * room, (), '')
    assert llm.complete([letters])[0].prompt_tokens == 36
    with pytest.raises(DataError, match='has 37 tokens'):
        llm.complete([Prompt(letters.text + 'z', (), '')])


def test_system_message_and_template_options(build):
    plain = build().complete(PROMPTS[:1])[0].prompt_tokens
    assert build(system='Be brief.').complete(PROMPTS[:1])[0].prompt_tokens > plain
    assert build(template_options={'suffix': 'zzz'}).complete(PROMPTS[:1])[0].prompt_tokens == plain + 3


def test_nothing_to_say(build):
    assert build().complete([]) == []


def test_what_cannot_be_loaded_is_named(build, folder, tmp_path):
    with pytest.raises(ConfigError, match='cannot be loaded'):
        TransformersLLM(str(tmp_path))
    with pytest.raises(ConfigError, match="has no dtype 'half'"):
        build(dtype='half')
    with pytest.raises(ConfigError, match='max_new_tokens=0'):
        build(max_new_tokens=0)
    llm = build(dtype='bfloat16')
    assert llm.model.dtype == torch.bfloat16 and llm.complete(PROMPTS[:1])[0].completion_tokens
    llm.tokenizer.chat_template = None
    llm.tokenizer.save_pretrained(tmp_path)
    llm.model.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match='has no chat template'):
        TransformersLLM(str(tmp_path))
    llm.model.model.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match='lacks 1 weights, such as lm_head.weight'):
        TransformersLLM(str(tmp_path))


@pytest.mark.parametrize(('cls', 'package', 'remedy'), [
    (TransformersLLM, 'transformers', r"pip install 'vlfusion\[language\]'"), (VLLMLLM, 'vllm', 'pip install vllm')])
def test_without_the_package_the_error_says_what_to_install(monkeypatch, cls, package, remedy):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=f'(?s)needs {package}.*{remedy}'):
        cls('any')
