"""Images are sent whole to a vision chat, one or a pair at a time."""

import base64

import cv2
import numpy as np
import pytest
from language.llms.conftest import ScriptedServer, chat_answer

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.captioners.openai_captioner import OpenAICaptioner, data_url
from vlfusion.language.chat.client import ChatError
from vlfusion.language.interfaces import Observation
from vlfusion.registry import CAPTIONERS

GENERATOR = np.random.default_rng(0)
GREY = GENERATOR.integers(0, 256, (20, 30), dtype=np.uint8)
COLOUR = GENERATOR.integers(0, 256, (9, 7, 3), dtype=np.uint8)
DEEP = GENERATOR.integers(0, 65536, (20, 30), dtype=np.uint16)


def decoded(url):
    """The image of a data URL, as OpenCV reads it."""
    head, _, data = url.partition(',')
    assert head == 'data:image/png;base64'
    return cv2.imdecode(np.frombuffer(base64.b64decode(data, validate=True), np.uint8), cv2.IMREAD_UNCHANGED)


def asked(body):
    text, image, *_ = body['messages'][0]['content']
    return text['text'], decoded(image['image_url']['url'])


@pytest.fixture
def server():
    """Answers with the size and the mean of the image it was sent."""
    pytest.importorskip('openai', reason="pip install 'vlfusion[openai]'")
    running = ScriptedServer(lambda number, body: (200, chat_answer(f' seen {asked(body)[1].shape} \n')))
    yield running
    running.stop()


@pytest.mark.slow
def test_each_image_is_sent_whole(server):
    captioner = CAPTIONERS.build(dict(type='OpenAICaptioner', model='m', base_url=server.url, concurrency=1,
                                      question='What is in this $modality image for $$5?'))
    assert captioner.observe([(GREY,), (COLOUR,), (DEEP,)], ('infrared',)) == [
        [Observation('seen (20, 30)')], [Observation('seen (9, 7, 3)')], [Observation('seen (20, 30)')]]
    questions, images = zip(*map(asked, server.bodies), strict=True)
    assert set(questions) == {'What is in this infrared image for $5?'}
    np.testing.assert_array_equal(images[0], GREY)
    np.testing.assert_array_equal(images[1], COLOUR)
    np.testing.assert_array_equal(images[2], np.round(DEEP / 65535 * 255))


def test_both_images_of_a_pair_are_sent_at_once(server):
    captioner = CAPTIONERS.build(dict(type='OpenAIPairCaptioner', model='m', base_url=server.url, concurrency=1))
    assert captioner.observe([(GREY, COLOUR), (COLOUR, DEEP)], ('infrared', 'visible')) == [
        [Observation('seen (20, 30)')], [Observation('seen (9, 7, 3)')]], 'the answer is about the first'
    text, first, second = server.bodies[0]['messages'][0]['content']
    assert 'The first image is infrared, the second is visible' in text['text']
    np.testing.assert_array_equal(decoded(first['image_url']['url']), GREY)
    np.testing.assert_array_equal(decoded(second['image_url']['url']), COLOUR)


def test_the_question_that_comes_with_it(server):
    OpenAICaptioner('m', base_url=server.url).observe([(GREY,)], ('MRI',))
    assert 'in this MRI image' in asked(server.bodies[0])[0]


@pytest.mark.parametrize('shape', [(1, 1), (1, 1, 3), (3, 1, 1)])
@pytest.mark.parametrize(('dtype', 'top'), [(np.uint8, 255), (np.uint16, 65535)])
def test_small_and_deep_images(shape, dtype, top):
    assert (decoded(data_url(np.full(shape, top, dtype))) == 255).all()
    assert (decoded(data_url(np.zeros(shape, dtype))) == 0).all()


@pytest.mark.parametrize('image', [np.zeros((4, 4), np.float32), np.zeros((0, 4), np.uint8)])
def test_what_is_no_image_is_refused(server, image):
    with pytest.raises(DataError, match='8- and 16-bit images'):
        OpenAICaptioner('m', base_url=server.url).observe([(image,)], ('MRI',))


def test_the_error_of_one_image_is_its_own(server):
    server.script = lambda number, body: (
        (400, {'error': {'message': 'too small'}}) if asked(body)[1].shape == (9, 7, 3) else (200, chat_answer('good')))
    captioner = OpenAICaptioner('m', base_url=server.url)
    good, failed = captioner.observe([(GREY,), (COLOUR,)], ('MRI',))
    assert good == [Observation('good')] and isinstance(failed, ChatError) and 'too small' in str(failed)


@pytest.mark.parametrize('question', ['What is this $thing?', 'It costs $'])
def test_a_question_with_another_placeholder(question):
    with pytest.raises(ConfigError, match='cannot be filled in'):
        OpenAICaptioner('m', question=question)
