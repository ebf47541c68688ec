"""Markdown becomes prose, and plain text stays."""

import pytest

from vlfusion.language.answers.markdown import plain


@pytest.mark.parametrize(('text', 'words'), [
    ('**Description:**\n\n- A bright wall\n- A dark road', 'A bright wall. A dark road.'),
    ('1. A wall.\n2. A road', 'A wall. A road.'), ('• A wall\n• A road', 'A wall. A road.'),
    ('- **Left:** a car\n  - red\n- **Right:** a tree', 'Left: a car. red. Right: a tree.'),
    ('## Foreground\n\nA car.\n\n## Background\n\nA tree.', 'Foreground: A car. Background: A tree.'),
    ('**Foreground**\n\nA car.', 'Foreground: A car.'), ('# Image Description\n\nA car.', 'A car.'),
    ('A __bold__, ***strong***, `plain` and ~~gone~~ wall.', 'A bold, strong, plain and gone wall.'),
    ('A [wall](http://host/x) and ![a road](r.png).', 'A wall and a road.'),
    ('> A wall\n> and a road.', 'A wall and a road.'),
    ('| a wall | a road |\n|---|---|\n| left | right |', 'a wall. a road. left. right.'),
    ('A <b>bright</b> wall &amp; a road.', 'A bright wall & a road.'), ('```\nA wall.\n```', 'A wall.'),
    ('A **wall**.\n\nA road.', 'A wall.\n\nA road.')])
def test_markdown_becomes_prose(text, words):
    assert plain(text) == words


@pytest.mark.parametrize('text', [
    'A wall.', '2 * 3 * 4', 'a 2*3*4 grid', '5* rooms and 4* rooms', 'snake_case_name', '#1 and C#', 'x < y > z',
    'one\ntwo\n\nthree', '1986. A good year for cars.', 'a ~ b', '[sic]', 'A & B', '-5 degrees', 'A wall: 50 % *'])
def test_signs_of_a_plain_text_stay(text):
    assert plain(text) == text
