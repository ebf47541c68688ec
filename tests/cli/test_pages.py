"""Commands that the pages and READMEs show: the command line takes each of them."""

import re
import shlex
from pathlib import Path

import pytest

from vlfusion.cli import parse

ROOT = Path(__file__).parents[2]
PAGES = [path for pattern in ('README.md', 'docs/**/*.md', 'plugins/*/README.md', 'configs/**/*.md', 'performance/*.md')
         for path in sorted(ROOT.glob(pattern))]
#: A line of an indented block, or one after the prompt of a console.
COMMAND = re.compile(r'^(?:    +|\$ )vlfusion (.*)$', re.MULTILINE)


def commands(path: Path) -> list[list[str]]:
    """The arguments of each `vlfusion` command that stands on a line of its own."""
    text = re.sub(r'\\\n *', ' ', path.read_text(encoding='utf-8'))
    return [shlex.split(line, comments=True) for line in COMMAND.findall(text)]


@pytest.mark.parametrize('path', [path for path in PAGES if commands(path)],
                         ids=lambda path: str(path.relative_to(ROOT)))
def test_the_command_line_takes_every_command_of_a_page(path):
    for arguments in commands(path):
        parse(arguments)


def test_a_missing_option_is_noticed(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('    vlfusion evaluate fused --source-a IR/ \\\n        --source-b VI/   # no --out\n')
    [arguments] = commands(page)
    with pytest.raises(SystemExit):
        parse(arguments)
