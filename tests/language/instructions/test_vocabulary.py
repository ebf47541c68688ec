"""Instructions that are drawn: grammar, held-out words, numbers, and reproducible chance."""

import re
import tomllib
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from vlfusion.errors import ConfigError, UnknownNameError
from vlfusion.imaging.tasks import TASKS
from vlfusion.language import instructions
from vlfusion.language.instructions import REGIONS, Ask, Vocabulary
from vlfusion.language.instructions.file import expand

PAIRS = [('MRI', 'PET'), ('MRI', 'CT'), ('infrared', 'visible'), ('ultrasound', 'SPECT'), ('visible', 'visible'),
         *((task.modality_a, task.modality_b) for task in TASKS.values())]
VOCABULARY = Vocabulary.read()
FACTS = tomllib.loads((Path(instructions.__file__).parent / f'{VOCABULARY.id}.toml').read_text(encoding='utf-8'))
PAGE = (Path(__file__).parents[3] / 'docs/reference/instructions.md').read_text(encoding='utf-8')


def drawn(count, pair=('MRI', 'PET'), seed=0, **options):
    rng = np.random.default_rng(seed)
    return [VOCABULARY.draw(rng, *pair, **options) for _ in range(count)]


def plain(text):
    """A sentence without its case and its stop."""
    return text.casefold().rstrip('.?')


@pytest.mark.parametrize(('name', 'sha256'), [
    ('fusion.v2', '4dae8104d5888707e69e5788a927c086ee14558931865075a6146c13379dbd3f')])
def test_published_vocabularies_do_not_change(name, sha256):
    # Networks are trained with its sentences. Improve fusion.v2 as fusion.v3.toml.
    vocabulary = Vocabulary.read(name)
    assert (vocabulary.id, vocabulary.sha256) == (name, sha256)


def test_its_intents_degrees_and_regions():
    assert VOCABULARY.intents == (
        'lead_a', 'lead_b', 'texture_a', 'texture_b', 'balance', 'brighter', 'darker', 'more_contrast', 'less_contrast',
        'more_detail', 'less_detail', 'more_colour', 'less_colour', 'neutral')
    assert VOCABULARY.degrees == ('slightly', '', 'strongly')
    assert VOCABULARY.regions == REGIONS


@pytest.mark.parametrize(('intent', 'degree', 'ask'), [
    ('lead_a', 'strongly', Ask(intensity_a=1, gradient_a=1)),
    ('lead_b', '', Ask(intensity_b=0.7, gradient_b=0.7)),
    ('texture_b', 'slightly', Ask(gradient_b=0.4)),
    ('balance', '', Ask(0.35, 0.35, 0.35, 0.35)),
    ('darker', 'strongly', Ask(gain=0.6)),
    ('less_detail', '', Ask(detail=0.4)),
    ('neutral', '', Ask())])
def test_numbers_behind_an_intent(intent, degree, ask):
    assert VOCABULARY.ask(intent, degree) == ask


def test_the_page_states_the_numbers():
    rows = re.findall(r'^\| (`.*?`) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|', PAGE, re.MULTILINE)
    stated = {intent: [float(number) for number in numbers] for intents, *numbers in rows
              for intent in re.findall(r'`(\w+)`', intents)}
    assert [*stated, 'neutral'] == list(VOCABULARY.intents)
    for intent, numbers in stated.items():
        asked = [set(VOCABULARY.ask(intent, degree).asked.values()) for degree in VOCABULARY.degrees]
        assert asked == [{number} for number in numbers], intent


def test_the_sentences_of_the_page_are_its_own():
    rows = re.findall(r'^\| `(\w+)` \| (\w*) ?\| (?:`([\w: ]+)` )?\| (\S.*) \|$', PAGE.partition('## Sentences')[2],
                      re.MULTILINE)
    assert len(rows) == 10
    regions = ['', 'left', 'bright', 'box:the people']
    cases = VOCABULARY.cases('MRI', 'PET', held_out=False, per_case=1, seed=3, regions=regions)
    assert set(rows) <= {(case.intent, case.degree, case.region, case.text) for case in cases}


def test_the_vocabulary_of_the_page_works(tmp_path):
    path = tmp_path / 'mine.v1.toml'
    path.write_text(re.search(r'```toml\n(.*?)```', PAGE, re.DOTALL)[1])
    [case] = Vocabulary.read(path).cases('infrared', '', intents=['brighter'], degrees=['strongly'], regions=['left'])
    assert case.text == 'Brighten the left half a lot.'


@pytest.mark.parametrize(('weak', 'strong'), [
    ('darker', 'brighter'), ('less_contrast', 'more_contrast'), ('less_detail', 'more_detail'),
    ('less_colour', 'more_colour')])
def test_degrees_are_ordered_around_one(weak, strong):
    [name] = VOCABULARY.ask(weak).asked
    factors = [getattr(VOCABULARY.ask(intent, degree), name) for intent, degree in (
        (weak, 'strongly'), (weak, ''), (weak, 'slightly'), ('neutral', ''), (strong, 'slightly'), (strong, ''),
        (strong, 'strongly'))]
    assert factors == sorted(set(factors)) and factors[3] == 1


@pytest.mark.parametrize('pair', PAIRS)
@pytest.mark.parametrize('held_out', [False, True])
def test_sentences_are_whole(pair, held_out):
    for instruction in drawn(100, pair, held_out=held_out, regions=[*VOCABULARY.regions, 'box:the people'], joined=0.2):
        text = instruction.text
        assert not re.search(r'[{}]|  |\s$|^\s| [,.?]|\.\.|,,|\ba [aeiou]|\bthe the\b', text), text
        if held_out:
            assert text[0].isupper() and text[-1] in '.?'


@pytest.mark.parametrize('pair', [('MRI', 'PET'), ('infrared', 'visible')])
def test_held_out_sentences_are_new(pair):
    seen = {plain(instruction.text) for instruction in drawn(800, pair)}
    assert not seen & {plain(instruction.text) for instruction in drawn(300, pair, held_out=True)}
    assert len(seen) > 600


def readings(text, pair=('MRI', 'PET')):
    """Read a sentence back by the templates of the file, as (intent, degree, region); an independent way."""
    said = plain(text)
    return {(intent, states or degree_of(match), region_of(match))
            for intent, states, words, pattern in patterns(pair)
            if words in said and (match := re.fullmatch(pattern, said))}


@cache
def patterns(pair):
    """Patterns of all templates with the intent and the degree that they state; the names of A and B differ."""
    def alternatives(phrases):
        return '|'.join(sorted(map(re.escape, phrases), key=len, reverse=True)).casefold()

    def of(table, key):
        return [phrase for split in ('train', 'held_out') for phrase in table.get(split, {}).get(key, [])]
    names = {source: {key: alternatives(of(FACTS['sources'][source], key) + of(FACTS['modalities'][modality], key))
                      for key in ('phrases', 'words')} for source, modality in zip('ab', pair, strict=True)}
    where = {key: alternatives([phrase for table in FACTS['regions'].values() for phrase in of(table, key)])
             for key in ('places', 'scenes')}
    amounts = {slot: alternatives([phrase for table in FACTS['adverbs'].values() for phrase in of(table, slot)])
               for slot in ('degree', 'much', 'far')}
    found = []
    for name, table in FACTS['intents'].items():
        sided = name in ('lead', 'texture')
        for source, other in ('ab', 'ba'):
            slots = dict(
                {slot: f'(?: (?P<{slot}>{phrases}))?' for slot, phrases in amounts.items()},
                place=f'(?: (?P<place>{where["places"]}))?', front=f'(?:(?P<front>{where["places"]}), )?',
                scene=f'(?P<scene>{where["scenes"]})', source=f'(?:{names[source]["phrases"]})',
                word=f'(?:{names[source]["words"]})', other=f'(?:{names[other]["phrases"]})',
                other_word=f'(?:{names[other]["words"]})')
            for key, lines in [*table['train'].items(), *table['held_out'].items()]:
                for template in (template for line in lines for template in expand(line)):
                    parts = re.split(r'(\{\w+\})', template.rstrip('?').casefold())
                    words = max((part.strip() for part in parts[::2]), key=len)  # quick to look for
                    pattern = ''.join(slots[part[1:-1]] if part.startswith('{') else re.escape(part) for part in parts)
                    found.append((f'{name}_{source}' if sided else name,
                                  key if key in ('slightly', 'strongly') else '', words, pattern.strip()))
    return found


def degree_of(match):
    said = {match.groupdict().get(slot) for slot in ('degree', 'much', 'far')} - {None}
    return next((degree for degree, table in FACTS['adverbs'].items() for split in table.values()
                 for phrases in split.values() if said & set(phrases)), '')


def region_of(match):
    said = {match.groupdict().get(slot) for slot in ('place', 'front', 'scene')} - {None}
    return next(('' if region == 'whole' else region for region, table in FACTS['regions'].items()
                 for split in table.values() for phrases in split.values()
                 if said & {phrase.casefold() for phrase in phrases}), '')


@pytest.mark.slow
@pytest.mark.parametrize('held_out', [False, True])
@pytest.mark.parametrize('pair', [('MRI', 'PET'), ('infrared', 'visible')])
def test_sentences_state_intent_degree_and_region_and_no_other(pair, held_out):
    for instruction in drawn(20, pair, held_out=held_out):
        said = instruction.intent, instruction.degree, instruction.region
        assert readings(instruction.text, pair) == {said}, instruction.text


def test_equal_modalities_are_told_apart_by_position():
    positions = [phrase for table in FACTS['sources'].values() for split in table.values()
                 for phrases in split.values() for phrase in phrases]
    for instruction in drawn(200, ('visible', 'visible'), intents=['lead_b', 'texture_a'], regions=['']):
        assert not re.search('(the|ordinary) (visible|photo)|visible light|camera', instruction.text), instruction.text
        assert any(position.casefold() in instruction.text.casefold() for position in positions), instruction.text


def test_other_names_of_a_modality_count():
    def named(*pair):
        return {instruction.text for instruction in drawn(100, pair)}
    assert named('overexposed', 'Under_Exposed') == named('over-exposed', 'under-exposed')
    assert named('IR', 'VIS') == named('infrared', 'visible')
    assert any('the sonar image' in text.casefold() for text in named('sonar', 'visible'))


def test_draws_follow_their_seed():
    assert drawn(50, seed=3, joined=0.3) == drawn(50, seed=3, joined=0.3) != drawn(50, seed=4, joined=0.3)


def test_half_of_the_draws_concern_the_whole_picture():
    regions = [*VOCABULARY.regions, 'box:a car']
    whole = sum(not instruction.region for instruction in drawn(400, intents=['brighter'], regions=regions))
    assert 160 < whole < 240
    assert {instruction.region for instruction in drawn(200, intents=['darker'], regions=['', 'left'])} == {'', 'left'}
    labelled = {instruction.region for instruction in drawn(50, intents=['darker'], regions=['box:a car'])}
    assert labelled == {'box:a car'}


def test_colour_and_neutral_have_no_region():
    assert {instruction.region for instruction in drawn(300) if 'colour' in instruction.intent
            or instruction.intent == 'neutral'} == {''}
    with pytest.raises(ConfigError, match='None of the intents'):
        drawn(1, intents=['more_colour', 'neutral'], regions=['left'])
    with pytest.raises(ConfigError, match='None of the intents'):
        drawn(1, regions=[])


def test_training_sentences_vary_in_case_and_stop():
    texts = [instruction.text for instruction in drawn(100, intents=['brighter'], regions=[''])]
    assert {(text[0].isupper(), text.endswith('.')) for text in texts} == set(product([True, False], repeat=2))


def test_joined_instructions_ask_for_both():
    both = [instruction for instruction in drawn(100, joined=1.) if '+' in instruction.intent]
    assert len(both) > 70
    for instruction in both:
        asks = [VOCABULARY.ask(*aim).asked for aim in zip(instruction.intent.split('+'), instruction.degree.split('+'),
                                                          strict=True)]
        assert instruction.ask.asked == asks[0] | asks[1] and not asks[0].keys() & asks[1].keys()
        assert re.search(' and | but ', instruction.text)


def test_a_pool_has_distinct_texts():
    pool = VOCABULARY.pool(150, 'MRI', 'PET', seed=1)
    assert len({instruction.text for instruction in pool}) == len(pool) == 150
    assert pool == VOCABULARY.pool(150, 'MRI', 'PET', seed=1) != VOCABULARY.pool(150, 'MRI', 'PET', seed=2)


def test_cases_list_every_intent_degree_and_region():
    regions = ['', 'left', 'bright', 'box:the people']
    cases = VOCABULARY.cases('MRI', 'PET', regions=regions, per_case=3)
    count = {}
    for case in cases:
        count[case.intent, case.degree, case.region] = count.get((case.intent, case.degree, case.region), 0) + 1
        assert case.ask == VOCABULARY.ask(case.intent, case.degree)
    expected = {(intent, degree, region) for intent, degree, region in product(
        VOCABULARY.intents, VOCABULARY.degrees, regions)
        if not (region and ('colour' in intent or intent == 'neutral')) and not (degree and intent == 'neutral')}
    assert count == dict.fromkeys(expected, 3)
    assert len({(case.intent, case.degree, case.region, case.text) for case in cases}) == len(cases)


def test_a_case_does_not_depend_on_the_others():
    alone = VOCABULARY.cases('MRI', 'PET', intents=['darker'], degrees=[''], regions=['left'])
    among = VOCABULARY.cases('MRI', 'PET', regions=['', 'left'])
    assert alone == [case for case in among if (case.intent, case.degree, case.region) == ('darker', '', 'left')]
    assert len(alone) == 4


@pytest.mark.parametrize(('act', 'message'), [
    (lambda: Vocabulary.read('fusion.v7'), 'no vocabulary .*Did you mean fusion.v2'),
    (lambda: VOCABULARY.ask('brigter'), 'Did you mean brighter'),
    (lambda: VOCABULARY.ask('neutral', 'strongly'), "neutral has no degree 'strongly'"),
    (lambda: drawn(1, intents=['leadA']), 'no intent'),
    (lambda: drawn(1, regions=['center']), 'Did you mean centre'),
    (lambda: drawn(1, regions=['box:']), "no region 'box:'"),
    (lambda: VOCABULARY.cases('MRI', 'PET', degrees=['strong']), 'Did you mean strongly'),
    (lambda: VOCABULARY.cases('MRI', 'PET', regions=['box']), "no region 'box'")])
def test_unknown_names_are_errors(act, message):
    with pytest.raises(UnknownNameError, match=re.compile(message, re.DOTALL)):
        act()
