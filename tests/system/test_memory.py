"""Amounts of memory are read as people write them; what is free and what a process took are the system's numbers."""

import sys

import psutil
import pytest

from vlfusion.errors import ConfigError
from vlfusion.system.memory import free_memory, parse_bytes, peak_of_process


def test_memory_is_read_as_people_write_it():
    assert parse_bytes('2GiB') == parse_bytes('2g') == 2 * 2 ** 30 and parse_bytes('100') == 100
    with pytest.raises(ConfigError, match='not an amount of memory'):
        parse_bytes('plenty')


@pytest.mark.skipif(sys.platform != 'linux', reason='other systems do not report it')
def test_free_memory_and_the_peak_are_parts_of_the_memory_there_is():
    assert 0 < free_memory() <= psutil.virtual_memory().total
    assert psutil.Process().memory_info().rss / 2 < peak_of_process() <= psutil.virtual_memory().total
