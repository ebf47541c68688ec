"""Files of vocabularies: those that ship keep training and measuring apart, and faults of your own are named."""

import re
import tomllib
from pathlib import Path

import pytest

from vlfusion.errors import ConfigError
from vlfusion.language import instructions
from vlfusion.language.instructions import Ask, Vocabulary
from vlfusion.language.instructions.file import expand

FILES = sorted(Path(instructions.__file__).parent.glob('*.toml'))
#: A small vocabulary.
MINE = """
adverbs.slightly.train = {degree = ['a bit'], much = ['a bit'], far = ['a bit']}
adverbs.strongly.train = {degree = ['a lot'], much = ['much'], far = ['much']}
regions.whole.train.scenes = ['it']
regions.left.train = {places = ['on the left'], scenes = ['the left']}
sources.a.train = {phrases = ['source A'], words = ['A']}
sources.b.train = {phrases = ['source B'], words = ['B']}
modalities.other.train.phrases = ['the {modality} image']

[intents.warmer]
numbers = {plain = {colour = 1.4, gain = 1.1}, strongly = {colour = 2}}
train.commands = ['warm {scene}{degree}']
held_out.remarks = ['{much} warmer{place}']

[intents.follow]
numbers.plain.gradient = 0.5
train.commands = ['follow {source} in {scene}']
held_out.commands = ['{front}go after {source}']
"""


@pytest.fixture
def mine(tmp_path):
    """Read the small vocabulary after a replacement."""
    def read(old='', new='', name='mine.v1.toml'):
        assert old in MINE
        path = tmp_path / name
        path.write_text(MINE.replace(old, new) if old else MINE)
        return Vocabulary.read(path)
    return read


def lists(node, key=()):
    """Every list of strings of a file, with the path of its key."""
    if isinstance(node, list):
        yield key, node
    else:
        for name, below in node.items():
            yield from lists(below, (*key, name))


def templates_of(lists_of_split):
    """Every template of a split, written out for each of its alternatives."""
    return [template for _, texts in lists(lists_of_split) for text in texts for template in expand(text)]


def bare(template):
    """The words of a template without slots of degree and region, in one string with blanks around each."""
    return f' {" ".join(re.sub(r"{(degree|much|far|place|front)}", " ", template).replace("?", "").split())} '


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_held_out_phrases_are_not_in_train(file):
    facts = tomllib.loads(file.read_text(encoding='utf-8'))
    for section in ('adverbs', 'regions', 'sources', 'modalities'):
        for key, phrases in lists(facts[section]):
            if 'held_out' in key:
                train = facts[section][key[0]]['train'].get(key[-1], [])
                assert phrases and not set(phrases) & set(train), key
                assert len(set(phrases)) == len(phrases), key


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_a_name_belongs_to_one_modality(file):
    facts = tomllib.loads(file.read_text(encoding='utf-8'))
    phrases = [phrase for table in [*facts['sources'].values(), *facts['modalities'].values()]
               for split in ('train', 'held_out') for phrase in table.get(split, {}).get('phrases', [])]
    assert len(set(phrases)) == len(phrases)


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_a_template_belongs_to_one_intent(file):
    intents = tomllib.loads(file.read_text(encoding='utf-8'))['intents']
    templates = [template for intent in intents.values() for split in ('train', 'held_out')
                 for template in templates_of(intent[split])]
    assert len(set(templates)) == len(templates)


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_held_out_templates_contain_none_of_train(file):
    facts = tomllib.loads(file.read_text(encoding='utf-8'))
    for name, intent in facts['intents'].items():
        train, held_out = templates_of(intent['train']), templates_of(intent['held_out'])
        assert len(set(train + held_out)) == len(train + held_out), name
        for template, seen in ((template, seen) for template in held_out for seen in train):
            assert seen not in template and bare(seen) != bare(template), (name, template, seen)
            assert len(bare(seen).split()) < 3 or bare(seen) not in bare(template), (name, template, seen)


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_every_intent_is_said_in_many_ways(file):
    for name, intent in tomllib.loads(file.read_text(encoding='utf-8'))['intents'].items():
        for split, most in (('train', 60 if name == 'neutral' else 150), ('held_out', 10)):
            assert len(templates_of(intent[split])) >= most, (name, split)


def test_alternatives_make_several_templates(mine):
    vocabulary = mine('warm {scene}{degree}', '[warm|heat] {scene}[| up]{degree}')
    cases = vocabulary.cases('', '', held_out=False, intents=['warmer'], degrees=['strongly'], per_case=9)
    assert {case.text for case in cases} == {
        'Warm it a lot.', 'Heat it a lot.', 'Warm it up a lot.', 'Heat it up a lot.'}


def test_a_vocabulary_of_your_own(mine):
    vocabulary = mine()
    assert (vocabulary.id, vocabulary.intents) == ('mine.v1', ('warmer', 'follow_a', 'follow_b'))
    assert vocabulary.regions == ('', 'left') and vocabulary.ask('warmer') == Ask(colour=1.4, gain=1.1)
    cases = vocabulary.cases('sonar', 'radar', regions=['', 'left'], per_case=1)
    assert [(case.text, case.intent, case.degree, case.region) for case in cases if case.intent == 'warmer'] == [
        ('Warmer.', 'warmer', '', ''), ('Warmer on the left.', 'warmer', '', 'left'),
        ('Much warmer.', 'warmer', 'strongly', ''), ('Much warmer on the left.', 'warmer', 'strongly', 'left')]
    texts = {case.text for case in vocabulary.cases('sonar', 'radar', intents=['follow_b'], per_case=9, held_out=False)}
    assert texts == {'Follow source B in it.', 'Follow the radar image in it.'}


def test_a_pool_has_no_more_than_there_is(mine):
    vocabulary = mine()
    texts = {instruction.text for instruction in vocabulary.pool(4, 'a', 'b', intents=['warmer'], held_out=True)}
    assert texts == {'Warmer.', 'Warmer on the left.', 'Much warmer.', 'Much warmer on the left.'}
    with pytest.raises(ConfigError, match='Expected 5 distinct instructions, but about 4'):
        vocabulary.pool(5, 'a', 'b', intents=['warmer'], held_out=True)


@pytest.mark.parametrize(('old', 'new', 'message'), [
    ("scenes = ['it']", "scenes = ['it'", 'cannot be read'),
    ('regions.left', 'regions.lft', 'regions has an unknown key .*Did you mean left'),
    ("regions.whole.train.scenes = ['it']", '', 'regions lacks whole'),
    ("places = ['on the left'], ", '', r'regions.left.train has no places'),
    ("much = ['a bit'], ", '', r'adverbs.slightly.train has no much'),
    ("['source A']", "'source A'", r'sources.a.train.phrases is'),
    ('sources.b', 'sources.c', "sources has an unknown key 'c'"),
    ('the {modality} image', 'the {modalty} image', r'modalities.other.train.phrases: .* \{modalty\}.*mean modality'),
    ("modalities.other.train.phrases = ['the {modality} image']", 'modalities.other = 3', 'modalities.other is 3'),
    ('modalities.other', "modalities.ir.also = ['I-R']\nmodalities.other", 'modalities.ir is called ir, as another'),
    ('numbers.plain.gradient', 'numbers.plan.gradient', r'intents.follow.numbers has an unknown key .*mean plain'),
    ('gain = 1.1', 'gian = 1.1', r'intents.warmer.numbers.plain has an unknown key .*mean gain'),
    ('gain = 1.1', 'gain = -1', r'intents.warmer.numbers.plain: gain is -1'),
    ('gradient = 0.5', 'gradient = 1.5', r'intents.follow.numbers.plain: gradient_a and gradient_b are 1.5 and 0'),
    ('warm {scene}{degree}', 'warm {scen}{degree}', r'intents.warmer.train.commands: .*Did you mean scene'),
    ('warm {scene}{degree}', 'warm {scene} {degree}', 'bring the blank before them'),
    ('warm {scene}{degree}', 'warm {scene}{degree', 'stray brace'),
    ('warm {scene}{degree}', '[warm|heat {scene}{degree}', 'stray brace, bracket or bar'),
    ('warm {scene}{degree}', '[warm|] {scene}{degree}', 'a blank too many'),
    ('warm {scene}{degree}', 'make {scene}{much} warmer{degree}', 'states the degree twice'),
    ('warm {scene}{degree}', 'warm {scene}{degree}{place}', 'states the region twice'),
    ('warm {scene}{degree}', 'warm {scene}', r'warmer.train has no template for the degree strongly'),
    ("held_out.remarks = ['{much} warmer{place}']", "held_out.remarks = ['{much} warmer']",
     r'warmer.held_out has no template for the degree plain of a region'),
    ('follow {source} in', 'follow it in', 'does not say which source'),
    ('{much} warmer{place}', 'warm {scene}{degree}', 'is in train too')])
def test_faults_are_named(mine, old, new, message):
    with pytest.raises(ConfigError, match=re.compile(rf'mine\.v1\.toml.*{message}', re.DOTALL)):
        mine(old, new)


def test_a_file_is_named_with_its_version(mine, tmp_path):
    with pytest.raises(ConfigError, match=r'Name it like mine\.v1\.toml'):
        mine(name='mine.toml')
    with pytest.raises(ConfigError, match='cannot be read'):
        Vocabulary.read(tmp_path / 'none.v1.toml')
