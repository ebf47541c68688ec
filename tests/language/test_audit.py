"""The checks on texts whose faults are known, and on real published paragraphs."""

from dataclasses import replace

import pytest

from vlfusion.language.audit import CHECKS, COLUMNS, Limits, check, summary
from vlfusion.language.interfaces import Observation
from vlfusion.language.keys import Content
from vlfusion.language.lookup import Described, Records, observed_text
from vlfusion.language.pipeline import DescriptionPipeline
from vlfusion.language.prompt import load_prompt
from vlfusion.language.store import STAGES
from vlfusion.testing.shared import shared

GOOD = 'A man in a red jacket walks across the wet street, and behind him there are two parked cars under the trees.'


def described(text, name='a', **facts):
    return Described('set', f'{name}.png', name, text, **facts)


def issues(text, prompt='paragraph', limits=None, **facts):
    return check([described(text, **facts)], prompt, limits)[0].issues


def test_nothing_is_said_of_a_good_text():
    assert issues(GOOD, missing=(), finish_reason='stop', tokens=26, limits=Limits(max_tokens=26),
                  seen='man red jackets walking wet streets parking car tree') == ''


@pytest.mark.parametrize(('text', 'expected'), [
    ('', 'empty'), (' .\n', 'empty'), ('A red car.', 'short'), (f'{GOOD} ' * 10, 'long loop'),
    (f'{GOOD} It is {"bright, " * 14}', 'loop'),
    (f'{GOOD} Name the objects, their colours and where they lie in relation.', 'leak'),
    (f'{GOOD} The man [90, 37, 322, 383] has region semantic information.', 'coordinates digits'),
    (f'{GOOD} The car is at (0.5,0.25).', 'coordinates digits'), (f'{GOOD} It starts at x=12.', 'coordinates digits'),
    (f'{GOOD} There are 3 lamps.', 'digits'),
    ('Das Bild zeigt eine Straße in der Nacht, auf der mehrere Autos und ein Mann zu sehen sind.', 'language'),
    ("L'image montre une rue la nuit, avec plusieurs voitures et un homme qui marche à côté.", 'language'),
    ('图像显示夜间街道，有几辆汽车和一个人。', 'short language'),
])
def test_each_fault_is_found(text, expected):
    assert issues(text) == expected


@pytest.mark.parametrize(('text', 'expected'), [
    ("I'm sorry, but I can't help with describing this image, because it may show people.", 'refusal'),
    (f'<think>Hm.</think>{GOOD}', 'reasoning'), (f'Okay, the user wants a paragraph. {GOOD}', 'reasoning'),
    (f'Sure, here is a description of the image: {GOOD}', 'chatter'), (f'**Description:** {GOOD}', 'chatter'),
    (f'{GOOD} Let me know if you need anything else!', 'chatter'), (f'"{GOOD}"', 'chatter'),
    (f'- {GOOD}\n- A dog stands beside the man on the left.', 'chatter'),
    ('The response was filtered due to the prompt triggering the content management policy.', 'filter')])
def test_what_is_about_the_answer_instead_of_the_image(text, expected):
    row, = check([described(text)])
    assert row.issues == expected and (expected == 'filter' or getattr(row, expected))


def test_a_filter_is_known_by_its_finish_reason():
    assert issues(GOOD, finish_reason='content_filter') == 'filter'


def test_each_text_of_a_structured_answer_is_looked_at():
    assert issues(f'{GOOD}\nSure, here is a description: a car.',
                  texts=(GOOD, 'Sure, here is a description: a car.')) == 'chatter'


def test_what_the_llm_and_the_encoder_said():
    assert issues(GOOD, finish_reason='length') == 'cut'
    assert issues(GOOD, refusal='has 600 tokens') == 'long'
    assert issues(GOOD, tokens=30, limits=Limits(max_tokens=29)) == 'long'
    assert issues(GOOD, missing=('features',)) == 'missing'
    assert issues(None, missing=STAGES) == 'missing'
    assert issues(None, damage='the record is cut short') == 'damaged'


def test_digits_count_only_where_the_prompt_forbids_them_or_is_unknown(monkeypatch):
    monkeypatch.setattr('vlfusion.language.audit.load_prompt',
                        lambda name: replace(load_prompt('paragraph'), body='Say what $observations are.'))
    row, = check([described(f'{GOOD} There are 3 lamps at [1, 2].')], 'free')
    assert row.issues == '' and row.digits == '3' and row.coordinates == '[1, 2]'
    assert issues(f'{GOOD} There are 3 lamps.', prompt=None) == 'digits'


def test_only_different_images_are_duplicates():
    same = GOOD.upper().replace(',', ' ;')
    rows = check([described(GOOD, 'a'), described(same, 'b'), described(f'{GOOD} Yes.', 'c')])
    assert [row.duplicate_of for row in rows] == ['b.png', 'a.png', '']
    twins = [described(GOOD, 'a'), replace(described(GOOD, 'a'), image='copy.png')]
    assert not any(row.issues for row in check(twins))


def test_unseen_words_are_listed():
    row, = check([described('The image shows two dogs and a bicycle leaning on the wooden benches in the upper left.',
                            seen='PET - a dog runs [upper left, a small part of the image]\n- bench')])
    assert (row.unseen, row.unseen_count) == ('bicycle leaning wooden', 3)


def test_what_an_llm_is_told_holds_places_but_no_rules():
    text = observed_text([Observation('A lamp', box=(0, 0, 0.2, 0.2), score=0.5)], 'infrared')
    assert text == 'infrared - A lamp [upper left]'


def test_summary_counts_and_says_what_could_not_be_checked():
    rows = check([described(GOOD), described('', 'b'), replace(described(GOOD, 'c'), group='other', missing=())])
    table = summary(rows)
    assert list(table) == ['set', 'other'] and table['set']['images'] == 2
    assert table['set']['empty'] == 1 and table['set']['words'] == 22
    assert {name for name in CHECKS if table['set'][name] is None} == {'missing', 'damaged', 'leak', 'cut', 'unseen'}
    assert table['other']['missing'] == 0 and table['set']['unseen words'] is None
    assert list(rows[0].cells()) == list(COLUMNS)


@pytest.mark.slow
def test_images_of_a_text_store(images, language, encoder):
    pipeline = DescriptionPipeline(language)
    pipeline.encoder = encoder
    pipeline.run(images[:3])
    records = Records(language)
    texts = [records.described('set', image) for image in images]
    assert texts[3].missing == STAGES and texts[3].text is None
    assert texts[0].text == pipeline.paragraph(images[0]) and texts[0].tokens > 20
    rows = check(texts, language['prompt'])
    assert [row.issues for row in rows] == ['', '', '', 'missing']
    assert [row.unseen_count for row in rows] == [0, 0, 0, None], 'the template adds no words'
    # A record lost in the middle does not hide the paragraph, which its features also keep.
    records.stages(Content(texts[0].content, 'PET'))['paragraphs'][0].path.unlink()
    again = records.described('set', images[0])
    assert again.missing == ('paragraphs',) and again.text == texts[0].text


def test_damaged_records_are_named_and_the_rest_is_read(images, language, encoder):
    pipeline = DescriptionPipeline(language)
    pipeline.encoder = encoder
    pipeline.run(images[:2])
    records = Records(language)
    stages = [records.stages(Content(records.described('set', image).content, image.modality)) for image in images[:2]]
    stages[0]['features'][0].path.with_suffix('.npy').write_bytes(b'cut')
    stages[1]['paragraphs'][0].path.write_text('{"text": 3}')
    first, second = (records.described('set', image) for image in images[:2])
    assert first.damage.endswith('.npy is damaged: EOF: reading magic string, expected 8 bytes got 3.')
    assert first.text == pipeline.paragraph(images[0]) and first.missing == ()
    assert second.damage.endswith(".json is damaged: 'text' is 3, not a text.") and second.text is not None
    assert [row.issues for row in check([first, second], language['prompt'])] == ['damaged', 'damaged']


def test_published_paragraphs_are_english_and_without_faults():
    texts = [described(path.read_text(), str(path)) for path in sorted(shared('data/mff').rglob('text/*/*.txt'))]
    rows = check(texts)
    assert len(rows) == 34 and not any(row.issues for row in rows)
    assert min(row.english for row in rows if row.english is not None) > 0.3
