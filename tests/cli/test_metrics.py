"""The verb `metrics` lists and explains metrics, and prints the reference page."""

from pathlib import Path

import pytest

from vlfusion.cli import main
from vlfusion.registry import FUSION_METRICS

PAGE = Path(__file__).parents[2] / 'docs/reference/metrics.md'


def printed(capsys, *arguments: str) -> str:
    assert main(['metrics', *arguments]) == 0
    return capsys.readouterr().out


def test_the_list_holds_every_metric_once(capsys):
    lines = printed(capsys).splitlines()
    names = [line.split()[0] for line in lines if line.split()[1:2] in (['higher'], ['lower'], ['neither'])]
    assert len(names) == len(set(names))
    assert {FUSION_METRICS.get(name).info.name for name in FUSION_METRICS.names() if '.' not in name} <= set(names)
    assert 'truth/PSNR' in names


def test_a_metric_is_explained_with_its_variants(capsys):
    text = printed(capsys, 'MI:film', 'LPIPS', 'Qmi')
    assert 'MI:film\n    title: Mutual information\n    better: higher\n' in text
    assert 'unit: nat' in text
    assert 'Electron. Lett. 38(7), 2002' in text
    assert '`MI = I(A, F) + I(B, F)`' in text
    assert 'MI:film, MI:cddfuse, MI:vifb: in nat' in text
    assert 'LPIPS:squeeze: with the features of SqueezeNet' in text
    assert 'NMI\n' in text and 'also called: Qmi' in text
    assert 'fused: grey levels' not in text  # how to call it is for the code


def test_an_unknown_metric_exits_with_2(capsys):
    assert main(['metrics', 'Qabff']) == 2
    assert 'Did you mean Qabf?' in capsys.readouterr().err


@pytest.mark.skipif(not PAGE.is_file(), reason='not a checkout: docs are not there')
def test_the_reference_page_is_up_to_date(capsys):
    assert PAGE.read_text(encoding='utf-8') == printed(capsys, '--markdown'), \
        'run: vlfusion metrics --markdown > docs/reference/metrics.md'
