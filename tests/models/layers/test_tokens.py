"""Texts without a token are refused."""

import jaxtyping
import pytest
import torch

from vlfusion.errors import DataError
from vlfusion.models.layers.tokens import require_tokens

TEXT = torch.ones(2, 3, 4)
PADDED = torch.tensor([[True, True, False], [True, False, False]])
EMPTY = torch.tensor([[True, True, False], [False, False, False]])


def test_a_text_needs_a_token():
    require_tokens(TEXT, None, 'Encode it.')
    require_tokens(TEXT, PADDED, 'Encode it.')
    for text, mask in ((TEXT[:, :0], None), (TEXT, EMPTY)):
        with pytest.raises(DataError, match=r'no real token\.\n.*Encode it'):
            require_tokens(text, mask, 'Encode it.')


def test_a_compiled_graph_asserts_it(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, 'jaxtyping_disable', True)  # the compiler does not trace its checks
    compiled = torch.compile(lambda text, mask: require_tokens(text, mask, '') or text * 2, fullgraph=True,
                             backend='aot_eager')
    assert torch.equal(compiled(TEXT, PADDED), 2 * TEXT)
    with pytest.raises(RuntimeError, match='no real token'):
        compiled(TEXT, EMPTY)


def test_off_the_cpu_no_value_is_read():
    require_tokens(TEXT.to('meta'), EMPTY.to('meta'), '')  # tensors on `meta` have no values to read
