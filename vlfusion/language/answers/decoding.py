"""Tokens decoded to an answer. Its reasoning stays tagged; `vlfusion.language.answers.clean` removes it."""

from collections.abc import Sequence
from typing import Any

from vlfusion.language.answers.tags import reasoning_tag, tagged

#: Tokens at the end of a prompt, where a chat template may open the reasoning.
_LEAD = 16


def decode_answer(tokenizer: Any, prompt: Sequence[int], answer: Sequence[int]) -> str:
    """Decode the answer of a local model. Special tokens are dropped, except for the tags of reasoning.

    Args:
        tokenizer: a tokenizer of the transformers library.
        prompt: the tokens that the model read.
        answer: the tokens that it wrote.
    """
    tags = [token for token in tokenizer.all_special_tokens if tagged(token)]
    if tags:
        dropped = set(tokenizer.all_special_ids) - set(tokenizer.convert_tokens_to_ids(tags))
        text = tokenizer.decode([token for token in answer if token not in dropped])
    else:
        text = tokenizer.decode(answer, skip_special_tokens=True)
    return opening_tag(tokenizer, prompt) + text.strip()


def opening_tag(tokenizer: Any, prompt: Sequence[int]) -> str:
    """Return the tag with which a prompt opens the reasoning of the model; empty if it does not."""
    return reasoning_tag(tokenizer.decode(prompt[-_LEAD:]))
