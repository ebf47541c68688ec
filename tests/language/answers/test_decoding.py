"""Tokens to answers, with a real tokenizer of a few words."""

import pytest

from vlfusion.language.answers.decoding import decode_answer, opening_tag

pytest.importorskip('transformers', reason="pip install 'vlfusion[language]'")
WORDS = ['<s>', '</s>', '[THINK]', '[/THINK]', '<think>', '</think>', 'A', 'wall', 'Hm', '<|assistant|>']


@pytest.fixture
def tokenizer():
    """Builds a tokenizer of whole words, some of which are special tokens."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    def build(*special):
        base = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token='<s>'))
        base.pre_tokenizer = WhitespaceSplit()
        return PreTrainedTokenizerFast(tokenizer_object=base, bos_token='<s>', eos_token='</s>',
                                       additional_special_tokens=list(special))

    return build


def ids(text):
    return [WORDS.index(word) for word in text.split()]


@pytest.mark.parametrize(('special', 'answer', 'text'), [
    ((), 'A wall </s>', 'A wall'), ((), '<think> Hm </think> A wall </s>', '<think> Hm </think> A wall'),
    (('[THINK]', '[/THINK]'), '[THINK] Hm [/THINK] A wall </s>', '[THINK] Hm [/THINK] A wall')])
def test_special_tokens_but_those_of_reasoning_are_left_out(tokenizer, special, answer, text):
    assert decode_answer(tokenizer(*special), ids('A wall'), ids(answer)) == text


def test_reasoning_that_the_prompt_began(tokenizer):
    assert decode_answer(tokenizer(), ids('A wall <|assistant|> <think>'),
                   ids('Hm </think> A wall')) == '<think>Hm </think> A wall'
    assert opening_tag(tokenizer(), ids('<think> </think>')) == opening_tag(tokenizer(), []) == ''
