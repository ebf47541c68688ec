"""Jobs of a description, and the account of those that are done."""

import numpy as np
import pytest

from vlfusion.language.jobs import Ledger, error_of, features_job
from vlfusion.language.keys import Keys
from vlfusion.language.store import TextStore
from vlfusion.language.subjects import PairToDescribe

FEATURES = np.ones((2, 3), np.float32)


@pytest.fixture
def store(language):
    return TextStore(language['store'])


def test_a_job_needs_those_before_it(images, language):
    job = features_job(Keys(language), images[0])
    assert [each.stage for each in job.line()] == ['observations', 'paragraphs', 'features']
    assert job.encodes is job.needs[0] and job.modalities == ('PET',)


def test_a_pair_needs_what_is_seen_in_both_images(images, language):
    job = features_job(Keys(language | {'prompt': 'pair'}), PairToDescribe(images[0], images[1]))
    observing = job.encodes.needs
    assert [each.images for each in observing] == [(images[0],), (images[1],)]
    assert job.path == f'{images[0].path} with {images[1].path}'


def test_an_error_reaches_all_that_is_made_of_the_record(images, language):
    job = features_job(Keys(language), images[0])
    error = ValueError('no')
    assert error_of(job, {job.encodes.needs[0].key: error}) is error
    assert error_of(job, {}) is None and error_of(job.encodes, {job.key: error}) is None


def test_the_ledger_knows_what_is_missing(images, language, store):
    ledger, job = Ledger(store), features_job(Keys(language), images[0])
    observing = job.encodes.needs[0]
    assert [len(missing) for missing in ledger.missing([job], {}).values()] == [1, 1, 1]
    assert not ledger.can_make(job.encodes) and ledger.can_make(observing)
    store.write('observations', observing.key, {'observations': []})
    assert ledger.can_make(job.encodes)
    store.write('paragraphs', job.encodes.key, {'text': 'A wall.'})
    store.write('features', job.key, {'text': 'A wall.'}, FEATURES)
    assert ledger.is_described(job) and not any(ledger.missing([job], {}).values())


def test_features_of_another_paragraph_are_made_again(images, language, store):
    ledger, job = Ledger(store), features_job(Keys(language), images[0])
    store.write('features', job.key, {'text': 'A wall.'}, FEATURES)
    assert ledger.is_described(job), 'a paragraph may be missing'
    store.write('paragraphs', job.encodes.key, {'text': 'A road.'})
    assert not ledger.has(job)
    store.write('features', job.key, {'text': 'A road.'}, FEATURES)
    assert ledger.has(job)


def test_a_damaged_record_is_made_again_even_where_features_are_there(images, language, store):
    ledger, job = Ledger(store), features_job(Keys(language), images[0])
    store.write('features', job.key, {'text': 'A wall.'}, FEATURES)
    store.write('paragraphs', job.encodes.key, {'text': 3})
    assert ledger.is_damaged(job.encodes) and not ledger.is_described(job)
    missing = ledger.missing([job], {})
    assert [each.key for each in missing['paragraphs']] == [job.encodes.key] and not missing['features']
