"""A kind of note is said once a run."""

from vlfusion.console.notes import new_run, note


def test_a_kind_of_note_is_said_once_a_run(caplog):
    new_run()
    for kind, text in (('range', 'one'), ('range', 'two'), ('depth', 'three')):
        note(kind, text)
    assert [record.getMessage() for record in caplog.records] == ['note: one', 'note: three']
    new_run()
    note('range', 'four')
    assert caplog.records[-1].getMessage() == 'note: four'
