"""The page on mIoU prints what the code computes, and names every definition."""

import doctest
import re
from pathlib import Path

from vlfusion.downstream.scoring.variants import MEAN_IOUS, mean_iou_of

PAGE = Path(__file__).parents[3] / 'docs/explain/miou.md'


def test_the_example_of_the_page():
    results = doctest.testfile(str(PAGE), module_relative=False)
    assert results.attempted > 5 and not results.failed


def test_the_table_has_the_numbers_of_the_example():
    text = PAGE.read_text(encoding='utf-8')
    printed = dict(re.findall(r'^(mIoU\S*) +(\S+)$', text, re.MULTILINE))
    rows = dict(re.findall(r'^\| `(mIoU\S*)` \|.*\| (\S+) \|[^|]*\|$', text, re.MULTILINE))
    assert printed == rows
    assert [*rows] == [f'mIoU:{name}' if name else 'mIoU' for name in MEAN_IOUS]


def test_each_definition_names_its_source():
    assert all(rule.source and rule.note and mean_iou_of(name) is rule for name, rule in MEAN_IOUS.items())
