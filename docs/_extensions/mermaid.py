"""Flow charts: the forge draws ```mermaid by itself, the site loads mermaid on pages that have such a block."""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

SCRIPT = ("import mermaid from 'https://cdn.jsdelivr.net/npm/mermaid@11/dist/mermaid.esm.min.mjs';"
          "mermaid.initialize({startOnLoad: true, theme: 'neutral'});")


class Mermaid(SphinxDirective):
    """A flow chart. Without a network its source is shown."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        chart = nodes.Text('\n'.join(self.content)).astext().replace('&', '&amp;').replace('<', '&lt;')
        return [nodes.raw('', f'<pre class="mermaid">\n{chart}\n</pre>\n<script type="module">{SCRIPT}</script>',
                          format='html')]


def setup(app) -> dict:
    """Connect the extension to Sphinx."""
    app.add_directive('mermaid', Mermaid)
    return {'parallel_read_safe': True}
