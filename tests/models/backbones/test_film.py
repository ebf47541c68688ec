"""FILM equals the released network."""

import jaxtyping
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch._dynamo.backends.debugging import aot_eager
from torch.utils._python_dispatch import TorchDispatchMode

from vlfusion.errors import CheckpointError, ConfigError, DataError
from vlfusion.models.backbones.film import FILM, PooledAttention, folded, mixed
from vlfusion.testing import check_backbone
from vlfusion.testing.operations import Operations
from vlfusion.testing.shared import shared


@pytest.fixture(scope='module')
def released():
    return load_file(shared('golden/film/state_dict.safetensors'))


@pytest.fixture(scope='module')
def film(released):
    """The released network's weights, on a small grid: their text path matters, as an untrained one does not."""
    film = FILM(guidance_grid=(16, 32))
    film.load_state_dict(FILM.convert_released(released))
    return film


@pytest.fixture(scope='module')
def small():
    torch.manual_seed(0)
    return FILM(text_dim=12, guidance_grid=(16, 32))


def pair(batch=1, size=(20, 28), seed=0):
    return torch.rand(2, batch, 1, *size, generator=torch.Generator().manual_seed(seed)).unbind()


@pytest.mark.slow
@pytest.mark.parametrize('case', range(3))
def test_equals_the_released_network(released, case):
    film = FILM()
    film.load_state_dict(FILM.convert_released(released))
    stored = load_file(shared('golden/film/forward.safetensors'))
    inputs = {name: stored[f'case{case}.{name}'] for name in ('source_a', 'source_b', 'text')}
    with torch.no_grad():
        torch.testing.assert_close(film(**inputs), stored[f'case{case}.fused'], rtol=0, atol=1e-6)


def test_parameter_count_is_the_published_one():
    with torch.device('meta'):
        assert sum(parameter.numel() for parameter in FILM(text_dim=768).parameters()) == 2_070_235


@pytest.mark.slow
def test_what_every_backbone_must_do(small):
    check_backbone(small, text_dim=12)


@pytest.mark.parametrize('wrap', [
    lambda state: state,
    lambda state: {f'module.{name}': value for name, value in state.items()},
    lambda state: dict(model={f'module.{name}': value for name, value in state.items()}, epoch=3, step=8),
], ids=['raw', 'prefixed', 'checkpoint'])
def test_released_states_convert(released, wrap):
    converted = FILM.convert_released(wrap(released))
    FILM().load_state_dict(converted)
    assert len({tensor.data_ptr() for tensor in converted.values()}) == len(released) == 189


def test_states_of_another_network_are_refused(released):
    missing = {name: value for name, value in released.items() if name != 'conv2.bias'}
    with pytest.raises(CheckpointError, match=r'lacks 1 of its names:\n +conv2\.bias'):
        FILM.convert_released(missing)
    with pytest.raises(CheckpointError, match=r'has 1 unknown names:\n +restormerca4\.convA1\.weight'):
        FILM.convert_released({**released, 'restormerca4.convA1.weight': torch.zeros(1)})
    with pytest.raises(CheckpointError, match='lacks 189'):
        FILM.convert_released(FILM(guidance_grid=(16, 32)).state_dict())


@pytest.mark.slow
def test_text_matters(film):
    one, other = torch.randn(2, 1, 7, 768, generator=torch.Generator().manual_seed(1)).unbind()
    with torch.no_grad():
        assert (film(*pair(), one) - film(*pair(), other)).abs().max() > 1e-3


def test_masked_padding_changes_nothing_and_unmasked_padding_does(film):
    text = torch.randn(1, 7, 768, generator=torch.Generator().manual_seed(1))
    padded = torch.cat((text, torch.zeros(1, 5, 768)), 1)
    with torch.no_grad():
        expected = film(*pair(), text)
        masked = film(*pair(), padded, torch.tensor([[True] * 7 + [False] * 5]))
        unmasked = film(*pair(), padded)
    torch.testing.assert_close(masked, expected, rtol=0, atol=1e-6)
    assert (unmasked - expected).abs().max() > 1e-4


def test_the_order_of_tokens_does_not_matter(film):
    text = torch.randn(1, 7, 768, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(film(*pair(), text), film(*pair(), text.flip(1)), rtol=0, atol=1e-6)


def test_sources_are_not_interchangeable(film):
    text = torch.randn(1, 7, 768, generator=torch.Generator().manual_seed(1))
    a, b = pair()
    with torch.no_grad():
        assert (film(a, b, text) - film(b, a, text)).abs().max() > 1e-3


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def test_pooled_attention_is_the_mean_of_multi_head_attention(threads):
    torch.manual_seed(0)
    pooled, stock = PooledAttention(32, 4).double(), nn.MultiheadAttention(32, 4, batch_first=True).double()
    nn.init.normal_(pooled.in_proj_bias)  # zero by default, and with it the key bias
    stock.load_state_dict(pooled.state_dict())
    query, tokens = torch.randn(2, 5, 32).double(), torch.randn(2, 11, 32).double()
    expected = stock(query, tokens, tokens)[0].mean(1)
    output = pooled(query, tokens, torch.full((2, 5), 1 / 5).double())
    torch.testing.assert_close(output, expected)
    gradients = [torch.autograd.grad(value.square().sum(), list(module.parameters()))
                 for value, module in ((output, pooled), (expected, stock))]
    torch.testing.assert_close(*gradients)


def test_bfloat16_autocast_trains(small):
    text, sources = torch.randn(1, 5, 12), pair(size=(12, 16))
    expected = small(*sources, text)
    with torch.autocast('cpu', torch.bfloat16):
        fused = small(*sources, text)
    assert fused.dtype == torch.float32, 'levels near white would be 1/256 in bfloat16'
    torch.testing.assert_close(fused.float(), expected, rtol=0, atol=0.02)
    gradients = torch.autograd.grad(fused.float().square().sum(), list(small.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_text_must_be_there_and_fit(small):
    with pytest.raises(ConfigError, match='its argument `text` is None'):
        small(*pair())
    with pytest.raises(ConfigError, match=r'width 12, but these have width 384.\n.*text_dim=384'):
        small(*pair(), torch.rand(1, 5, 384))
    with pytest.raises(DataError, match='no real token'):
        small(*pair(2), torch.rand(2, 3, 12), torch.tensor([[True, True, False], [False, False, False]]))
    with pytest.raises(DataError, match='no real token'):
        small(*pair(2), torch.rand(2, 0, 12))


def test_the_grid_must_hold_whole_tokens():
    with pytest.raises(ConfigError, match='20x30 = 600 points cannot be split into tokens of attention_dim=256'):
        FILM(guidance_grid=(20, 30))


#: A network in the form of the small student.
SMALL = dict(text_dim=12, dim=8, heads=2, expansion=2, guidance_grid=(8, 16), attention_dim=16)
#: Guidance by a second text, over the network as published and over a student.
INSTRUCTED = [dict(guidance='channel'), dict(guidance='spatial'), dict(guidance='spatial', fold=2, output='mixture')]


def instructed(trained=True, **options):
    """Build a small FILM that reads an instruction; a trained one has a correction that is not zero."""
    torch.manual_seed(0)
    film = FILM(**SMALL, instruction_dim=6, **options)
    if trained:
        nn.init.normal_(film.correction.numbers[-1].weight, std=0.1)
        nn.init.ones_(film.correction.numbers[-1].bias)
    return film.eval()


def words(batch=1, tokens=5, dim=6, seed=3):
    return torch.randn(batch, tokens, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
@pytest.mark.parametrize('guidance', ['channel', 'spatial'])
def test_guidance_by_the_description_is_a_backbone(guidance):
    torch.manual_seed(0)
    check_backbone(FILM(**SMALL, guidance=guidance), text_dim=12)


@pytest.mark.slow
@pytest.mark.parametrize('options', INSTRUCTED)
def test_guidance_by_an_instruction_is_a_backbone(options):
    check_backbone(instructed(**options), text_dim=dict(text=12, instruction=6))


@pytest.mark.parametrize('guidance', ['channel', 'spatial'])
@pytest.mark.parametrize('instruction_dim', [None, 6])
def test_guidance_begins_as_the_released_network_to_the_bit(film, released, guidance, instruction_dim):
    guided = FILM(guidance_grid=(16, 32), guidance=guidance, instruction_dim=instruction_dim)
    lacking, unexpected = guided.load_state_dict(FILM.convert_released(released), strict=False)
    assert not unexpected and lacking and all(name.startswith('correction.') for name in lacking)
    inputs = *pair(2), words(2, dim=768)
    instruction = {} if instruction_dim is None else dict(instruction=words(2))
    with torch.no_grad():
        assert torch.equal(guided(*inputs, **instruction), film(*inputs))
    assert torch.equal(guided(*inputs, **instruction), film(*inputs)), 'in training too'


@pytest.mark.parametrize('options', INSTRUCTED)
def test_an_empty_instruction_is_none_to_the_bit(options):
    guided, inputs = instructed(**options), (*pair(2), words(2, dim=12))
    with torch.no_grad():
        without = guided(*inputs)
        assert torch.equal(guided(*inputs, instruction=words(2), instruction_mask=torch.zeros(2, 5).bool()), without)
        mask = torch.tensor([[True] * 5, [False] * 5])
        mixed_batch = guided(*inputs, instruction=words(2), instruction_mask=mask)
    assert torch.equal(mixed_batch[1], without[1]) and (mixed_batch[0] - without[0]).abs().max() > 1e-3
    assert guided.colour_strength(words(2), mask)[1] == 1 != guided.colour_strength(words(2))[1]


@pytest.mark.parametrize('options', INSTRUCTED)
def test_padding_of_an_instruction_has_no_effect(options):
    guided, inputs = instructed(**options), (*pair(), words(dim=12))
    padded, mask = torch.cat((words(), torch.full((1, 3, 6), 9.)), 1), torch.arange(8)[None] < 5
    with torch.no_grad():
        expected = guided(*inputs, instruction=words())
        torch.testing.assert_close(guided(*inputs, instruction=padded, instruction_mask=mask), expected,
                                   rtol=0, atol=1e-6)
        assert (guided(*inputs, instruction=padded) - expected).abs().max() > 1e-4, 'without a mask it counts'


@pytest.mark.parametrize('options', INSTRUCTED)
def test_several_instructions_for_a_pair_give_what_each_gives_alone(options):
    guided, inputs = instructed(**options), (*pair(2), words(2, dim=12))
    instruction, mask = words(6), torch.rand(6, 5, generator=torch.Generator().manual_seed(4)) < 0.6
    mask[0] = False  # the empty one among others
    with torch.no_grad():
        together = guided(*inputs, instruction=instruction, instruction_mask=mask)
        alone = [guided(*(value[[index // 3]] for value in inputs), instruction=instruction[[index]],
                        instruction_mask=mask[[index]]) for index in range(6)]
    assert together.shape == (6, 1, 20, 28)
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)
    assert guided.colour_strength(instruction, mask).shape == (6,)


@pytest.mark.parametrize('options', INSTRUCTED)
def test_a_frozen_network_gives_its_correction_the_same_gradients(options):
    """Features of a frozen network are overwritten, so the correction must not need those of earlier stages."""
    guided, inputs = instructed(**options), (*pair(), words(dim=12))
    learned = list(guided.correction.parameters())

    def gradients():
        fused = guided(*inputs, instruction=words(2))
        return torch.autograd.grad((fused - 0.3).square().sum(), learned, allow_unused=True)
    expected = gradients()
    guided.requires_grad_(False)
    guided.correction.requires_grad_(True)
    found = gradients()
    assert sum(gradient is not None and gradient.any().item() for gradient in found) >= len(learned) - 2
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_what_is_read_in_an_instruction():
    guided, mask = instructed(guidance='spatial'), torch.ones(4, 5, dtype=torch.bool)
    read = guided.understand(*pair(2), words(4), mask)
    amounts, directions, places = read['amounts'], read['directions'], read['places']
    assert amounts.shape == (4, 8) and directions.shape == (4, 12)
    assert places.shape == (4, 1, 64, 64)
    assert guided.train().understand(*pair(2), words(4), mask)['places'].shape == (4, 1, 20, 28), 'a pixel is a cell'
    rises, falls = directions[:, 7], directions[:, 11]
    sign = torch.where(rises >= falls, (rises > 0).float(), -(falls > 0).float())
    factors = (0.7 * sign * amounts[:, 7]).exp()
    torch.testing.assert_close(guided.colour_strength(words(4), mask), factors)


def test_guidance_and_instructions_that_cannot_be():
    with pytest.raises(ConfigError, match=r"(?s)no guidance 'chanel'.*Did you mean channel"):
        FILM(guidance='chanel')
    with pytest.raises(ConfigError, match=r"(?s)released guidance reads no instruction.*guidance='spatial'"):
        FILM(instruction_dim=6)
    with pytest.raises(ConfigError, match='cannot be divided among 8 heads'):
        FILM(attention_dim=68)
    inputs = *pair(), words(dim=12)
    with pytest.raises(ConfigError, match=r'(?s)width 9, but was built for width 6.*instruction_dim=9'):
        instructed(guidance='spatial')(*inputs, instruction=words(dim=9))
    for guidance in ('released', 'spatial'):
        film = FILM(**SMALL, guidance=guidance)
        with pytest.raises(ConfigError, match='reads none'):
            film(*inputs, instruction=words())
        with pytest.raises(ConfigError, match='reads none'):
            film.colour_strength(words())


@pytest.mark.slow
def test_a_small_student_is_a_backbone():
    torch.manual_seed(0)
    check_backbone(FILM(**SMALL, fold=2, output='mixture'), text_dim=12)


def test_folding_moves_pixels_only():
    source = torch.rand(2, 1, 5, 7)
    blocks = folded(source, 2)
    assert blocks.shape == (2, 4, 3, 4) and folded(source, 1) is source
    torch.testing.assert_close(nn.functional.pixel_shuffle(blocks, 2)[..., :5, :7], source, rtol=0, atol=0)


def test_a_mixture_is_made_of_both_sources_white_and_black():
    a, b = pair()
    one = 100 * torch.eye(4)[..., None, None].expand(-1, -1, *a.shape[2:])
    for scores, expected in zip(one, (a, b, torch.ones_like(a), torch.zeros_like(a)), strict=True):
        torch.testing.assert_close(mixed(scores[None], a, b), expected)
    torch.testing.assert_close(mixed(torch.zeros(1, 4, *a.shape[2:]), a, b), (a + b + 1) / 4)


def test_outputs_that_cannot_be():
    with pytest.raises(ConfigError, match=r"(?s)no output 'mix'.*Did you mean mixture"):
        FILM(output='mix')


@pytest.mark.slow
@pytest.mark.parametrize('guidance', ['released', 'channel', 'spatial'])
def test_compiled_it_is_one_graph_that_trains_as_before(monkeypatch, guidance):
    monkeypatch.setattr(jaxtyping.config, 'jaxtyping_disable', True)  # the compiler does not trace its checks
    torch.manual_seed(0)
    film, graphs = FILM(text_dim=12, dim=8, heads=2, attention_dim=16, guidance_grid=(16, 32), guidance=guidance), []

    def backend(graph, inputs):
        graphs.append(graph)
        return aot_eager(graph, inputs)
    torch._dynamo.reset()
    film.double()  # sums are in another order
    inputs = *(x.double() for x in (*pair(2), torch.randn(2, 5, 12))), torch.arange(5) < torch.tensor([[5], [3]])
    fused, expected = (network(*inputs) for network in (torch.compile(film, fullgraph=True, backend=backend), film))
    assert len(graphs) == 1
    torch.testing.assert_close(fused, expected)
    torch.testing.assert_close(*(torch.autograd.grad(result.sin().sum(), list(film.parameters()))
                                 for result in (fused, expected)))


class TestOnAGPU:
    """Counted on torch's device `meta`, where FILM takes the path of a GPU."""

    @pytest.fixture(scope='class')
    def published(self):
        with torch.device('meta'):
            return FILM()

    @staticmethod
    def inputs(batch):
        return *torch.empty(2, batch, 1, 288, 384, device='meta'), torch.empty(batch, 149, 768, device='meta')

    @pytest.mark.parametrize(('batch', 'most'), [(1, 480), (2, 500), (8, 500)])  # 455, 482 and 482 operations
    def test_operations_of_a_forward_pass(self, published, batch, most):
        with torch.no_grad(), Operations() as operations:
            assert published(*self.inputs(batch)).shape == (batch, 1, 288, 384)
        assert operations.total <= most

    def test_a_network_in_bfloat16_has_few_casts(self):
        """Under autocast weights and features are cast in each operation."""
        with torch.device('meta'):
            film = FILM().bfloat16()
        with torch.no_grad(), Operations() as operations:
            assert film(*self.inputs(1)).dtype == torch.float32
        assert operations.counts[torch.ops.aten._to_copy.default] <= 45
        assert operations.total <= 520

    @pytest.mark.parametrize(('batch', 'most'), [(1, 1650), (2, 1700), (8, 1700)])  # 1623, 1671 and 1671
    def test_operations_of_a_training_step(self, published, batch, most):
        published.zero_grad()
        with Operations() as operations:
            published(*self.inputs(batch)).sum().backward()
        assert all(parameter.grad is not None for parameter in published.parameters())
        assert operations.total <= most

    def test_training_needs_no_c_compiler(self, published):
        """On CUDA torch compiles a batched outer product with Triton, and Triton needs a C compiler."""
        outer = []

        class Products(TorchDispatchMode):
            def __torch_dispatch__(self, function, types, args=(), kwargs=None):
                if function is torch.ops.aten.bmm.default and args[0].shape[2] == 1:
                    outer.append(args[0].shape)
                return function(*args, **(kwargs or {}))
        with Products():
            published(*self.inputs(2)).sum().backward()
        assert not outer

    def test_training_keeps_little(self, published):
        saved = {}

        def note(tensor):
            saved[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
            return tensor
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            fused = published(*self.inputs(2))
        assert fused.requires_grad
        assert sum(storage.nbytes() for storage in saved.values()) < 1.2 * 2 ** 30, 'whole maps would be 9 GiB'
