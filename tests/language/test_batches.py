"""Batches of jobs: taken as late as possible, worked on while the last results are kept, split where they fail."""

from pathlib import Path
from threading import Event

import pytest

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.batches import BATCH, attempt, batches, overlapped, read_ahead
from vlfusion.language.jobs import Job
from vlfusion.language.keys import Content
from vlfusion.language.subjects import ImageToDescribe


def jobs(*modalities):
    return [Job('observations', str(index), (ImageToDescribe(Path(f'{index}.png'), modality),),
                (Content(str(index), modality),)) for index, modality in enumerate(modalities)]


def test_a_batch_is_of_one_modality_and_never_too_large():
    groups = list(batches(jobs(*['MRI'] * (BATCH + 1), 'PET', 'PET', 'MRI')))
    assert [len(group) for group in groups] == [BATCH, 1, 2, 1]
    assert list(batches([])) == []


def test_no_job_is_taken_before_it_is_needed():
    taken = []

    def source():
        for job in jobs(*['MRI'] * 3 * BATCH):
            taken.append(job.key)
            yield job

    groups = batches(source())
    next(groups)
    assert len(taken) == BATCH + 1


def test_images_that_cannot_be_read_fail_when_they_are_looked_at():
    [[(job, [image])]] = read_ahead(jobs('MRI'))
    assert job.modalities == ('MRI',)
    with pytest.raises(DataError, match='0.png'):
        image.result()


def test_the_next_batch_is_worked_on_while_the_last_is_kept():
    begun = [Event(), Event()]

    def work(group):
        begun[group[0]].set()
        return [f'of {item}' for item in group]

    results = overlapped(work, [[0], [1]])
    assert next(results) == (0, 'of 0')
    assert begun[1].wait(10), 'the second batch waits for nobody to ask for its results'
    assert list(results) == [(1, 'of 1')]


def test_a_batch_that_fails_is_tried_one_by_one():
    calls = []

    def work(items):
        calls.append(list(items))
        return [6 // item for item in items]

    first, failed, last = attempt(work, [1, 0, 2])
    assert (first, last) == (6, 3) and isinstance(failed, ZeroDivisionError)
    assert calls == [[1, 0, 2], [1], [0], [2]]


def test_a_fault_of_the_config_stops_everything():
    def work(items):
        raise ConfigError('wrong', 'correct it')

    with pytest.raises(ConfigError, match='wrong'):
        attempt(work, [1, 2])
