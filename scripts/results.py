"""Put the tables of a comparison into its page under docs/results. The text above the first table stays as it is.

    vlfusion benchmark mif --get
    python scripts/results.py work_dirs/benchmark/mif/leaderboard.md docs/results/mif.md

Rows of methods that failed are left out, because the text of the page names them.
"""

import re
import sys
from pathlib import Path


def main(leaderboard: Path, page: Path) -> None:
    """Replace everything from the first table of `page` on by the tables of `leaderboard`."""
    lines = [line for line in leaderboard.read_text(encoding='utf-8').splitlines()
             if not re.match(r'\| [^|]+ \| failed \|', line) and not re.match(r'\S+ failed: ', line)]
    tables = re.sub(r'\n{3,}', '\n\n', '\n'.join(lines)).strip()
    blocks = re.split(r'^(?=##)', tables, flags=re.MULTILINE)
    text = page.read_text(encoding='utf-8').partition('\n## ')[0]
    page.write_text('\n\n'.join([text.rstrip(), *map(_folded, filter(None, blocks))]) + '\n', encoding='utf-8')


def _folded(block: str) -> str:
    """Return a block of the leaderboard; those below a data set are folded under their title."""
    title, _, body = block.strip().partition('\n')
    if not title.startswith('###'):
        return block.strip()
    return f'<details><summary>{title.lstrip("# ")}</summary>\n\n{body.strip()}\n\n</details>'


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
