"""Networks learn to obey instructions: each pair is fused under several, and losses see what each asks for."""

from dataclasses import astuple
from zlib import crc32

import numpy as np
import pytest
import torch
from torch import nn

from vlfusion.data.regions import region_weight
from vlfusion.errors import ConfigError
from vlfusion.imaging import asked_picture
from vlfusion.language.instructions import Ask, Vocabulary
from vlfusion.models import InstructedModel, colour_strength
from vlfusion.registry import BACKBONES, LOSSES, MODELS

FILM = dict(type='FILM', text_dim=8, dim=8, heads=2, expansion=2, guidance_grid=(8, 16), attention_dim=16,
            guidance='spatial', instruction_dim=12)
TERMS = [dict(type='AskedIntensityLoss', relative=0.02), dict(type='AskedGradientLoss', weight=0.3),
         dict(type='ReadingLoss'), dict(type='RegionLoss'), dict(type='SwapLoss')]


class Weighing(nn.Module):
    """Weighs the sources by the mean of its only text, and knows nothing of several instructions."""

    text_dim = 12

    def __init__(self):
        super().__init__()
        self.weigh = nn.Linear(12, 1)

    def forward(self, source_a, source_b, text=None, text_mask=None):
        weight = self.weigh((text * text_mask[..., None]).sum(1) / text_mask.sum(1, keepdim=True)).sigmoid()
        return weight[..., None, None] * source_a + (1 - weight[..., None, None]) * source_b


@pytest.fixture(autouse=True)
def parts(monkeypatch):
    monkeypatch.setitem(BACKBONES.module_dict, 'Weighing', Weighing)


def build(losses=TERMS, **options):
    torch.manual_seed(0)
    model = MODELS.build(dict(type='InstructedModel', **(dict(backbone=FILM, losses=losses) | options)))
    if getattr(model.backbone, 'correction', None):
        nn.init.normal_(model.backbone.correction.numbers[-1].weight, std=0.1)
        nn.init.ones_(model.backbone.correction.numbers[-1].bias)
    return model


def batch_of(instructions, stream='instruction', pairs=2, size=(16, 20), empty_token=False):
    """Make a batch of random pairs. All get an empty instruction and then these, as sums of random word vectors."""
    random = torch.Generator().manual_seed(0)
    source_a, source_b, = torch.rand(2, pairs, 1, *size, generator=random) * 0.6 + 0.2
    texts = [vectors(instruction.text) for instruction in instructions]
    features = torch.zeros(1 + len(texts), max(map(len, texts)), 12)
    mask = torch.zeros(features.shape[:2], dtype=torch.bool)
    mask[0, 0] = empty_token
    for index, text in enumerate(texts, 1):
        features[index, :len(text)], mask[index, :len(text)] = text, True
    asks = [Ask(), *(instruction.ask for instruction in instructions)]
    regions = ['', *(instruction.region for instruction in instructions)]
    region = [[region_weight(name, torch.maximum(*pair)[0].numpy()) for name in regions]
              for pair in zip(source_a, source_b, strict=True)]
    batch = dict(source_a=source_a, source_b=source_b, name=[f'{i}' for i in range(pairs)],
                 ask=torch.tensor([astuple(ask) for ask in asks]).expand(pairs, -1, -1),
                 region=torch.from_numpy(np.array(region)))
    batch[stream] = features.expand(pairs, -1, -1, -1)
    batch[f'{stream}_mask'] = mask.expand(pairs, -1, -1)
    if stream != 'text':
        batch |= dict(text=torch.randn(pairs, 3, 8, generator=random), text_mask=torch.ones(pairs, 3, dtype=torch.bool))
    return batch


def vectors(text):
    """Return a fixed random vector for each word."""
    return torch.stack([torch.randn(12, generator=torch.Generator().manual_seed(crc32(word.encode())))
                        for word in text.lower().strip('.?!').split()])


def drawn(**options):
    return Vocabulary.read('fusion.v2').pool(3, 'infrared', 'visible', **options)


class Seen(nn.Module):
    """A loss that keeps what it gets."""

    weight = 1.

    def forward(self, fused, source_a, source_b, ask, region, reference, instructions, text=None, amounts=None,
                directions=None, places=None, read_ask=None, read_region=None):
        self.given = {key: value for key, value in locals().items() if key != 'self'}
        return fused.mean()


@pytest.fixture
def seen(monkeypatch):
    monkeypatch.setitem(LOSSES.module_dict, 'Seen', Seen)


def test_losses_see_every_instruction_as_a_pair_of_its_own(seen):
    batch, model = batch_of(drawn()), build([dict(type='Seen')])
    model(**batch, mode='loss')
    given = model.losses['seen'].given
    assert given['fused'].shape == given['source_a'].shape == given['region'].shape == (8, 1, 16, 20)
    assert torch.equal(given['source_a'][::4], batch['source_a']) and torch.equal(given['source_b'][3::4],
                                                                                  batch['source_b'])
    assert torch.equal(given['ask'][4:], batch['ask'][1]) and given['instructions'] == 4
    assert given['amounts'].shape == (8, 8) and given['places'].shape == (8, 1, 16, 20)
    assert torch.equal(given['read_ask'], given['ask']) and torch.equal(given['read_region'], given['region'])
    without = model(**{key: batch[key] for key in ('source_a', 'source_b', 'text', 'text_mask')})
    torch.testing.assert_close(given['reference'], without.repeat_interleave(4, 0), rtol=0, atol=1e-5)
    assert not given['reference'].requires_grad and given['fused'].requires_grad


def test_more_instructions_can_be_read_than_fused(seen):
    batch, model = batch_of(drawn()), build([dict(type='Seen')], pictures=2)
    model(**batch, mode='loss')
    given = model.losses['seen'].given
    assert given['fused'].shape == given['region'].shape == (4, 1, 16, 20) and given['instructions'] == 2
    assert given['amounts'].shape == given['read_ask'].shape == (8, 8) and given['read_region'].shape == (8, 1, 16, 20)
    assert torch.equal(given['ask'], batch['ask'][:, :2].flatten(0, 1))


@pytest.mark.parametrize('options', [{}, dict(backbone=dict(type='Weighing'), stream='text')])
def test_several_instructions_are_fused_as_each_alone(seen, options):
    stream = options.get('stream', 'instruction')
    batch = batch_of(drawn(), stream, empty_token=stream == 'text')
    model = build([dict(type='Seen')], **options)
    model(**batch, mode='loss')
    fused = model.losses['seen'].given['fused'].unflatten(0, (2, 4))
    for index in range(4):
        alone = model(**batch | {key: batch[key][:, index] for key in (stream, f'{stream}_mask')})
        torch.testing.assert_close(fused[:, index], alone, rtol=0, atol=1e-5)


def test_total_is_the_weighted_sum_of_terms_that_all_teach_the_network():
    model = build()
    terms = model(**batch_of(drawn(regions=['left'], intents=['brighter'])), mode='loss')
    weights = {name: term.weight for name, term in model.losses.items()}
    assert set(weights) == {'asked_intensity', 'asked_gradient', 'reading', 'region', 'swap'}
    expected = sum(weight * terms[name] for name, weight in weights.items())
    torch.testing.assert_close(terms['loss'], expected)
    terms['loss'].backward()
    parts = dict(model.backbone.correction.named_parameters())
    assert [name for name in ('numbers.3.weight', 'questions', 'region.2.weight') if not parts[name].grad.any()] == []


def test_a_backbone_with_one_text_learns_to_obey_through_the_config():
    model = build([dict(type='AskedIntensityLoss', weight=20), dict(type='SwapLoss')],
                  backbone=dict(type='Weighing'), stream='text')
    leads = [*drawn(intents=['lead_a'])[:1], *drawn(intents=['lead_b'])[:1]]
    batch = batch_of(leads, 'text', empty_token=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        losses.append(model(**batch, mode='loss')['loss'])
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]
    toward_a = [((model(**batch | dict(text=batch['text'][:, i], text_mask=batch['text_mask'][:, i]))
                  - batch['source_b']) / (batch['source_a'] - batch['source_b'])).median() for i in (1, 2)]
    assert toward_a[0] > toward_a[1] + 0.2


@pytest.mark.slow
def test_a_network_learns_brighter_and_darker():
    """The base network is frozen, and the empty instruction keeps its picture."""
    model = build(trainable=['correction'])
    nn.init.zeros_(model.backbone.correction.numbers[-1].weight)
    nn.init.constant_(model.backbone.correction.numbers[-1].bias, -1)  # as at first
    vocabulary = Vocabulary.read('fusion.v2')
    said = [instruction for intent in ('brighter', 'darker')
            for instruction in vocabulary.pool(4, 'infrared', 'visible', intents=[intent], regions=[''])]
    batch = batch_of(said, pairs=1, size=(12, 12))
    before = model(**{key: batch[key] for key in ('source_a', 'source_b', 'text', 'text_mask')}).detach()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=4e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.05, 100)
    for _ in range(100):
        optimizer.zero_grad()
        model(**batch, mode='loss')['loss'].backward()
        nn.utils.clip_grad_norm_(parameters, 1)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        empty, *changes = ((model(**batch | {key: batch[key][:, index] for key in ('instruction', 'instruction_mask')})
                            - before).mean().item() for index in range(9))
    assert empty == 0
    asked = [(asked_picture(batch['source_a'], batch['source_b'], batch['ask'][:, index],
                            batch['region'][:, index, None], before) - before).mean().item() for index in range(1, 9)]
    assert min(changes[:4]) > 0.02 and max(changes[4:]) < -0.02
    np.testing.assert_allclose(changes, asked, atol=0.08)


def test_it_predicts_with_the_colour_that_was_asked_for():
    model, batch = build().eval(), batch_of(drawn())
    one = batch | {key: batch[key][:, 1] for key in ('instruction', 'instruction_mask', 'ask', 'region')}
    [first, second] = model(**one, mode='predict')
    expected = colour_strength(model.backbone, one['instruction'], one['instruction_mask'])
    assert [first['colour_strength'], second['colour_strength']] == expected.tolist() and first['colour_strength'] != 1
    without = {key: value for key, value in one.items() if not key.startswith('instruction')}
    assert 'colour_strength' not in model(**without, mode='predict')[0]


def test_colour_strength_is_given_by_networks_that_read_an_instruction():
    words = torch.rand(2, 3, 12)
    assert colour_strength(BACKBONES.build(FILM), words).tolist() == [1, 1], 'it begins at 1'
    assert colour_strength(build().backbone) is None
    assert colour_strength(BACKBONES.build(dict(type='Weighing')), words) is None
    plain = BACKBONES.build({**FILM, 'instruction_dim': None})
    assert colour_strength(plain, words) is None, 'a text that the network does not read'


def test_a_sample_without_instructions_is_an_ordinary_one():
    model, batch = build([dict(type='MaxIntensityLoss')]), batch_of(drawn())
    plain = {key: batch[key] for key in ('source_a', 'source_b', 'text', 'text_mask')}
    terms = model(**plain, mode='loss')
    torch.testing.assert_close(terms['loss'], (model(**plain) - torch.maximum(*list(plain.values())[:2])).abs().mean())
    assert isinstance(model, InstructedModel)


def test_every_picture_of_a_pair_has_its_true_image():
    model = build([dict(type='TruthLoss')])
    batch = batch_of(Vocabulary.read().cases('MRI', 'PET', intents=['brighter'], degrees=[''], per_case=2))
    truth = torch.rand(2, 1, 16, 20)
    value = model(**batch, truth=truth, mode='loss')['loss']
    once = [model(**{key: entry[index:index + 1] for key, entry in batch.items()}, truth=truth[index:index + 1],
                  mode='loss')['loss'] for index in range(2)]
    torch.testing.assert_close(value, sum(once) / 2)


def test_without_its_own_reference_the_empty_instruction_asks_for_the_brighter_source():
    neutral = Vocabulary.read().cases('MRI', 'PET', intents=['neutral'], per_case=1)
    batch = batch_of(neutral)
    models = (build([dict(type='AskedIntensityLoss')], own_reference=own, pictures=1) for own in (True, False))
    own, brighter = (model(**batch, mode='loss')['loss'] for model in models)
    fused = build([])(**{key: batch[key] for key in ('source_a', 'source_b', 'text', 'text_mask')})
    assert own == 0
    torch.testing.assert_close(brighter, (fused - torch.maximum(batch['source_a'], batch['source_b'])).abs().mean())


def test_a_film_without_instructions_learns_them_as_its_text():
    film = {key: value for key, value in FILM.items() if key not in ('guidance', 'instruction_dim')} | dict(text_dim=12)
    model = build([dict(type='AskedIntensityLoss')], backbone=film, stream='text')
    cases = Vocabulary.read().cases('MRI', 'PET', intents=['darker'], degrees=[''], per_case=1)
    model(**batch_of(cases, 'text', empty_token=True), mode='loss')['loss'].backward()
    assert model.backbone.text_projection.weight.grad.any()


def test_a_training_of_the_reading_alone_refuses_losses_of_pictures():
    with pytest.raises(ConfigError, match='pictures=0 fuses nothing, but the loss asked_intensity'):
        build(pictures=0)
