import re

import pytest

from vlfusion.errors import UnknownNameError
from vlfusion.language.interfaces import Observation
from vlfusion.language.prompt import load_prompt


def test_the_name_alone_is_the_latest_version():
    latest = load_prompt('paragraph')
    assert latest == load_prompt(latest.id)
    with pytest.raises(UnknownNameError):
        load_prompt(f'paragraph@{latest.version + 1}')


@pytest.mark.parametrize(('key', 'near'), [('paragrph', 'paragraph'), ('paragraph@77', 'paragraph@1'), ('', 'par')])
def test_an_unknown_prompt_names_those_there_are(key, near):
    with pytest.raises(UnknownNameError, match=near):
        load_prompt(key)


def test_published_prompts_do_not_change():
    # The hash is in every record made with this prompt. Improve it as paragraph.v2.md.
    assert load_prompt('paragraph@1').sha256 == '2458486bb53d9af103b58d790bba69cb3535485af6dcfe21d51fa7e5ec5681dc'


def test_a_rendered_prompt_names_places_and_no_coordinates():
    seen = [Observation('A street'), Observation('a $5 sign', box=(0.05, 0.7, 0.31, 0.93), area=0.04, score=0.87)]
    prompt = load_prompt('paragraph@1').render(seen, 'visible')
    assert '- A street\n- a $5 sign [lower left, a small part of the image]\n' in prompt.text
    assert 'the modality "visible"' in prompt.text
    assert not re.search(r'0\.\d|\$(modality|observations)', prompt.text)
    assert (prompt.observations, prompt.modality) == (tuple(seen), 'visible')
