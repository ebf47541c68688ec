"""From tokens to an answer, with the tags of its reasoning, which `vlfusion.language.answers` takes off."""

from collections.abc import Sequence
from typing import Any

from vlfusion.language.tags import reasoning_tag, tagged

#: At the end of a prompt, where a chat template may put the tag that begins the reasoning.
_LEAD = 16


def decode_answer(tokenizer: Any, prompt: Sequence[int], answer: Sequence[int]) -> str:
    """Text that a local model wrote: special tokens are left out, except for the tags of reasoning.

    Args:
        tokenizer: of the transformers library.
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
    """The tag by which a prompt begins the reasoning for the model; empty if it does not."""
    return reasoning_tag(tokenizer.decode(prompt[-_LEAD:]))
