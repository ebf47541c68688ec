"""Records in words."""

import numpy as np

from vlfusion.language.lookup import Records
from vlfusion.language.show import entry_of, lines, observation_line, problems
from vlfusion.language.store import FAILURES, TextStore


def test_an_observation_has_its_place_and_certainty_behind_it():
    observation = {'captioner': 'a.B', 'text': 'A car', 'box': [0, 0, .25, .25], 'area': .0625, 'score': .5}
    assert observation_line(observation) == 'A car [upper left, box 0.00 0.00 0.25 0.25; area 0.0625; score 0.5]'
    assert observation_line({'captioner': 'a.B', 'text': 'A car'}, name_captioner=True) == 'A car [a.B]'
    assert observation_line({'text': 'A car'}) == 'A car'


def test_an_image_that_is_not_described(images, language):
    records, store = Records(language), TextStore(language['store'])
    entry = entry_of(records, images[0])
    assert problems(images[0], entry) == [
        f'{images[0].path} (PET) has no observations, paragraphs and features under this config']
    assert sum('no record' in line for line in lines(entry)) == 3
    store.write(FAILURES, entry['features'][0]['key'], {'stage': 'paragraphs', 'error': 'It said nothing.'})
    assert problems(images[0], entry_of(records, images[0]))[0].endswith('; the last run said: It said nothing.')


def test_an_image_that_is_described(images, language):
    records, store = Records(language), TextStore(language['store'])
    keys = {stage: stored[0]['key'] for stage, stored in entry_of(records, images[0]).items()
            if stage in ('observations', 'paragraphs', 'features')}
    store.write('observations', keys['observations'], {'observations': [{'text': 'A wall'}]})
    store.write('paragraphs', keys['paragraphs'], {'text': 'There is a wall.', 'cost': 0.25})
    store.write('features', keys['features'], {'text': 'There is a wall.', 'tokens': 2, 'dim': 3, 'place': 'home'},
                np.ones((2, 3), np.float32))
    entry = entry_of(records, images[0])
    assert problems(images[0], entry) == []
    text = '\n'.join(lines(entry))
    for part in ('- A wall', 'There is a wall.', 'cost in US dollars: 0.25', '2, 3 features each', 'place     home'):
        assert part in text
    store.path('paragraphs', keys['paragraphs']).write_text('{')
    [problem] = problems(images[0], entry_of(records, images[0]))
    assert 'is damaged' in problem and keys['paragraphs'] in problem
