"""`vlfusion downstream check` prints counts and faults of labels."""

import json

from vlfusion.cli import main
from vlfusion.testing.labelled import draw_labelled, write_yolo


def printed(capsys, root, *options):
    code = main(['downstream', 'check', 'downstream/m3fd', *options, '--cfg-options', f'data_root={root}'])
    return capsys.readouterr().out, code


def test_counts_and_faults_are_printed(capsys, tmp_path):
    draw_labelled('m3fd', tmp_path)
    out, code = printed(capsys, tmp_path)
    assert code == 0 and 'No faults.' in out and 'train: 2 pairs, 0 without things.' in out
    assert next(line for line in out.splitlines() if line.startswith('Car')).split() == ['Car', '2', '2', '1', '1']
    (tmp_path / 'labels/00000.txt').write_text('9 .5 .5 .1 .1\n' * 12)
    out, code = printed(capsys, tmp_path)
    assert code == 1 and '\nunknown class: 12. Give the class table' in out and '\n12 faults.' in out
    assert f'    {tmp_path}/labels/00000.txt:10: the class is 9' in out and '    ... and 2 more; --all' in out
    assert '00000.txt:12: ' not in out and '00000.txt:12: ' in printed(capsys, tmp_path, '--all')[0]


def test_json_has_every_fault(capsys, tmp_path):
    draw_labelled('m3fd', tmp_path)
    write_yolo(tmp_path / 'labels/00000.txt', [(4, (8., 12., 24., 40.)), (1, (32., 6., 64., 30.))])
    out, code = printed(capsys, tmp_path, '--json')
    facts = json.loads(out)
    assert code == 1 and facts['swaps'] == [dict(labels='Motorcycle', compared_labels='People', boxes=1)]
    assert facts['faults'][0]['kind'] == 'disagreement' and facts['splits']['test']['classes']['Car']['boxes'] == 1
    assert '1 boxes of Motorcycle are People in the compared labels.' in printed(capsys, tmp_path)[0]
