"""Scores of detections and masks are columns of a leaderboard like others."""

import vlfusion
from vlfusion.metrics.columns import full_name, heading


def test_a_leaderboard_ranks_them(tmp_path):
    lines = {'a': [.9, .8, .7, .9, .8, .9, .7, .6], 'b': [.5, .4, .6, .2, .3, .4, .5, .4]}
    for method, values in lines.items():
        (tmp_path / f'{method}.csv').write_text('name,AP50,mIoU:mrfs,labels\n' + ''.join(
            f'{k},{value},{value},3\n' for k, value in enumerate(values)))
    board = vlfusion.leaderboard({method: tmp_path / f'{method}.csv' for method in lines})
    assert list(board.comparisons) == ['AP50', 'mIoU:mrfs'], 'counts rank nothing'
    assert board.comparisons['AP50'].winner == board.comparisons['mIoU:mrfs'].winner == 'a'
    assert 'mIoU:mrfs ↑' in board.markdown()


def test_names():
    assert full_name('mIoU', 'film') == 'mIoU'
    assert full_name('AP50:voc10') == 'AP50:voc10'
    assert heading('AP') == 'AP ↑'
    assert heading('labels') == 'labels'
