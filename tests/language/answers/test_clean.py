"""Text that is kept of a model's answer: the description and nothing else, or an error that says why there is none."""

import pytest

from vlfusion.errors import DataError
from vlfusion.language.answers.clean import Message, chatter, message, prose, read, readable, reasoned, refused
from vlfusion.language.answers.structure import schema_check
from vlfusion.testing.shared import shared

GOOD = 'A bright wall stands on the right, and a dark road lies below it.'
THOUGHT = 'Okay, the user wants a paragraph. I must not use digits.'
REASONING = {
    'think': f'<think>\n{THOUGHT}\n</think>\n\n{GOOD}', 'no opening': f'{THOUGHT}\n</think>\n{GOOD}',
    'thinking': f'<thinking>{THOUGHT}</thinking>{GOOD}', 'reasoning': f'<reasoning>{THOUGHT}</reasoning>\n{GOOD}',
    'brackets': f'[THINK]{THOUGHT}[/THINK]{GOOD}', 'diamonds': f'◁think▷{THOUGHT}◁/think▷{GOOD}',
    'nested': f'<think>a<think>b</think>{THOUGHT}</think>{GOOD}', 'capitals': f'<Think>{THOUGHT}</THINK>{GOOD}',
    'empty': f'<think>\n\n</think>\n\n{GOOD}', 'after the answer': f'{GOOD}\n<think>{THOUGHT}',
    'twice': f'<think>a</think><think>{THOUGHT}</think>{GOOD}', 'in a fence': f'```thinking\n{THOUGHT}\n```\n{GOOD}',
    'details': f'<details type="reasoning"><summary>Thought</summary>{THOUGHT}</details>\n{GOOD}',
    'unused tokens': f'<unused94>thought\n{THOUGHT}<unused95>{GOOD}',
    'with an answer': f'<think>{THOUGHT}</think><answer>{GOOD}</answer>',
    'channels': f'<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>{GOOD}',
    'channels without tokens': f'analysis{THOUGHT}assistantfinal{GOOD}'}
CHATTER = [
    f'Sure, here is a description of the image:\n\n{GOOD}', f'Certainly! {GOOD}', f"Here's the paragraph: {GOOD}",
    f'Sure! Here’s a coherent paragraph about the infrared image:\n\n{GOOD}\n\nLet me know if you need changes!',
    f'Okay, here’s a paragraph describing the image to someone who cannot see it:\n{GOOD}',
    f'Based on the provided observations, here is a coherent paragraph: {GOOD}', f'Here you go:\n\n{GOOD}',
    f'Absolutely! Below is a paragraph that describes the scene:\n\n{GOOD}',
    f'Here is the text:\n```markdown\n{GOOD}\n```',
    f'The image description is as follows:\n{GOOD}', f"I'll describe the scene.\n\n{GOOD}",
    f'I can help with that! {GOOD}',
    f'Thank you for sharing the image! {GOOD}', f'Assistant: {GOOD}', f'Final Answer: {GOOD}', f'Description: {GOOD}',
    f'**Description:** {GOOD}', f'### Image Description\n\n{GOOD}', f'Caption: "{GOOD}"', f'Paragraph:\n{GOOD}',
    f'{GOOD} I hope this helps!', f'{GOOD}\n\nFeel free to ask if you have more questions.',
    f'{GOOD}\n\n(Note: I have avoided digits as requested.)', f'{GOOD}\n\n*(Word count: 32)*',
    f'{GOOD}\n\n---\n\nWould you like me to describe the other image as well?',
    f'{GOOD} This description avoids digits and lists.', f'"{GOOD}"', f'“{GOOD}”', f'```\n{GOOD}\n```', f'**{GOOD}**',
    f'> {GOOD}', f'- {GOOD}', f'<s>{GOOD}</s>', f'{GOOD}<|im_end|>\n<|im_start|>user', f'{{"description": "{GOOD}"}}',
    f'```json\n{{"caption": "{GOOD}"}}\n```', f'当然，以下是对图像的描述：\n{GOOD}',
    f'Voici une description de l’image :\n{GOOD}',
    f'Natürlich! Hier ist die Beschreibung:\n{GOOD}', f'Aquí tienes una descripción de la imagen: {GOOD}',
    f'Ecco la descrizione: {GOOD}', f'Вот описание изображения: {GOOD}']
#: Paragraphs that hold what rules look for, and are descriptions all the same.
HONEST = [
    GOOD, 'A sign reads: "Sorry, we\'re closed"; the shop is dark.', 'Sorry is written on the wall.',
    'The scale is 2 * 3 * 4, the crosswalk has x < y signs <here> & there.', 'C* and C# are notes; f(x) = a*b*c.',
    'Sure-footed goats climb the rocks: three of them.', 'Great walls rise on both sides.',
    'OK signs hang on the wall.',
    'Here a car stands, there a tree: both are dark.', 'Here is a red car: it stands by the wall.',
    'Based on its shadow, the tower leans left: it may be old.', 'Below is a road: it is dark.',
    'I see a wall; I cannot see any people on the street.', 'Unfortunately, the plate of the car cannot be read.',
    'The wall says "Let me know." and the door is open.', 'The sign reads "Closed. Thank you."',
    'Foreground: a car. Background: a tree.', 'If you look closely, a bird sits on the roof.',
    'Note the bright lamp in the corner.', 'The caption: "A day out" is written below the frame.',
    'In the infrared image: it is warm.\n\nIn the visible image: it is dark.', '"Stop" says one sign and "Go" another.',
    'A file_name_with_underscores is painted on the wall.', 'A box marked [THIS SIDE UP] and a <div> tag on a T-shirt.',
    'The view is blocked by the safety barrier.',
    'No image of the moon is included in the scene, which was given a dark sky.',
    'Thinking men sit on a bench; a man of reason stands there.', 'The content is filtered through green glass.',
    'Das Bild zeigt: eine Straße, «alt» und dunkel.', '图像显示：一条街道，两边是“墙”。', '画像には道路が写っている。',
    'Это улица: тёмная, но "живая".', 'Une rue sombre ; à droite, un mur : il est clair.', 'هذا شارع مظلم.']
REFUSALS = [
    "I'm sorry, but I can't help with that.", 'I’m sorry, but I cannot assist with that request.',
    "Sorry, I can't do that.",
    'I cannot provide a description of this image.', "I'm unable to view images.",
    '**I am sorry**, but I must decline.',
    'As an AI language model, I cannot see images.', 'Unfortunately, I am unable to process this.',
    "I apologize, but I can't describe people.", 'It seems that no image was provided. Please upload it.',
    'There is no image attached to your message.', 'Unfortunately, no image was provided, so I cannot describe it.',
    "You haven't provided any observations.", "I won't describe this.",
    'Please provide the image you want me to describe.', 'This request violates the usage policy.',
    "I'm afraid I can't.",
    "I don't feel comfortable describing this person.", '抱歉，我无法描述该图像。',
    '申し訳ありませんが、お手伝いできません。',
    'Es tut mir leid, aber das kann ich nicht.', 'Je suis désolé, mais je ne peux pas vous aider.',
    'Lo siento, pero no puedo ayudar con eso.', 'Mi dispiace, non posso.', 'Извините, но я не могу помочь.',
    f"<think>{THOUGHT}</think>I'm sorry, but I can't help with that. Let me know if you need anything else!"]


@pytest.mark.parametrize('answer', REASONING.values(), ids=REASONING)
def test_reasoning_is_taken_off(answer):
    assert read(answer, 'm') == GOOD and reasoned(answer) and not reasoned(GOOD)


@pytest.mark.parametrize('answer', CHATTER)
def test_chatter_is_taken_off(answer):
    assert read(answer, 'm') == GOOD


@pytest.mark.parametrize('text', HONEST)
def test_a_description_is_kept_as_it_is(text):
    assert read(text, 'm', 'stop') == text and not chatter(text) and not refused(text)


def test_published_descriptions_are_kept_as_they_are():
    texts = [path.read_text(encoding='utf-8').strip() for path in sorted(shared('data').rglob('*.txt'))]
    texts = [text for text in texts if len(text.split()) > 5]
    assert len(texts) > 500 and all(prose(text) == text and not refused(text) and not reasoned(text) for text in texts)


@pytest.mark.parametrize('answer', REFUSALS)
def test_a_refusal_is_no_description(answer):
    with pytest.raises(DataError, match='m refused to describe this: (?s:.*)Ask another model'):
        read(answer, 'm')


@pytest.mark.parametrize(('answer', 'reason', 'said'), [
    (f'<think>{THOUGHT}', 'length', 'only its reasoning(?s:.)*Raise max_tokens'),
    (f'<think>{THOUGHT}</think>\n', 'stop', 'only its reasoning(?s:.)*-> Turn reasoning off'),
    (Message('', reasoning=THOUGHT), 'stop', 'only its reasoning'), (Message('', refusal='No.'), 'stop', 'refused.*No'),
    ('<|channel|>analysis<|message|>The user', 'length', 'only its reasoning'),
    ('A wall stands', 'content_filter', 'content filter of m stopped'), ('', 'SAFETY', 'content filter of m stopped'),
    ('The response was filtered due to the prompt triggering the content management policy.', 'stop', 'content filter'),
    (' \n', 'length', 'an empty answer(?s:.)*Raise max_tokens'), ('', 'stop', 'an empty answer(?s:.)*Try again'),
    ('Sure, here is a description of the image:', 'length', 'an empty answer'), ('\u200b', 'stop', 'an empty answer')])
def test_an_answer_without_a_description_says_why(answer, reason, said):
    with pytest.raises(DataError, match=said):
        read(answer, 'm', reason)


@pytest.mark.parametrize(('content', 'text'), [
    (GOOD, GOOD), (None, ''), ([{'type': 'text', 'text': 'A '}, {'type': 'text', 'text': 'wall.'}], 'A wall.'),
    ([{'type': 'output_text', 'text': {'value': 'A wall.'}}], 'A wall.'), (['A ', 'wall.'], 'A wall.'), ([], ''), (3,
                                                                                                                   ''),
    ([{'type': 'thinking', 'thinking': [{'type': 'text', 'text': 'Hm.'}]}, {'type': 'text', 'text': 'A wall.'}],
     'A wall.'),
    ([{'type': 'refusal', 'refusal': 'No.'}], ''), ([{'type': 'image_url', 'image_url': 'x'}, None], '')])
def test_content_comes_in_many_forms(content, text):
    assert message(content).text == text


def test_the_parts_of_a_message():
    assert message([{'type': 'reasoning', 'text': 'Hm.'}], 'Well. ', 'No.') == Message('', 'Well. Hm.', 'No.')


@pytest.mark.parametrize(('text', 'kept'), [
    ('A \ud83d wall', 'A \ufffd wall'), ('\ud83d\ude00', '\U0001f600'), ('a\x1b[31mred\x1b[0m\x00\u200b wall',
                                                                         'ared wall'),
    ('क्\u200dष', 'क्\u200dष'), ('a\r\nb', 'a\nb')])
def test_every_answer_can_be_encoded(text, kept):
    assert readable(text) == kept and readable(text).encode()


SCHEMA = schema_check({'type': 'object', 'required': ['text'], 'properties': {'text': {'type': 'string'}},
                       'additionalProperties': False})
JSON = '{"text": "A wall: {bright}."}'


@pytest.mark.parametrize('answer', [
    JSON, f'```json\n{JSON}\n```', f'Here is the JSON:\n```json\n{JSON}\n```\nHope this helps!',
    f'Sure: {JSON} Good luck!',
    f'<think>{{"text": 1}}</think>{JSON}', f'[{JSON}]', JSON.replace('"}', '",}'), JSON.replace('"', "'"),
    f'The schema is {{"type": "object"}}, so: {JSON}'])
def test_the_json_of_an_answer_is_found(answer):
    assert SCHEMA(found := read(answer, 'm', 'stop', SCHEMA)) is None and 'A wall: {bright}.' in found


@pytest.mark.parametrize('answer', ['A wall.', '{"text": 3}', '[' * 100_000, '{"text": ' * 5000, '{' * 1000])
def test_what_holds_no_fitting_json_is_left_to_be_asked_again(answer):
    assert SCHEMA(read(answer, 'm', 'stop', SCHEMA))


def test_what_was_taken_off_can_be_named():
    assert chatter(f'Sure, here is a description: {GOOD}').startswith('Sure, here is')
    assert chatter(f'{GOOD} I hope this helps!') == ' I hope this helps!'
    assert chatter('A **bright** wall.') == 'Markdown'
