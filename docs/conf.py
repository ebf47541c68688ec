"""Configuration of the documentation's site, which `make docs` builds into docs/_build/html."""

import os
import sys
from configparser import ConfigParser
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / '_extensions')]

_setup = ConfigParser()
_setup.read(DOCS.parent / 'setup.cfg', encoding='utf-8')

project = 'vlfusion'
extensions = ['myst_nb', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx_copybutton',
              'api_pages', 'docstrings', 'mermaid', 'reading_order', 'repository_links']
exclude_patterns = ['_build', '_extensions']
html_theme = 'furo'
html_title = 'vlfusion'
html_theme_options = {'navigation_with_keys': True}
# Blocks without a language are command lines, except in the API, whose blocks have one.
highlight_language = 'bash'

# Links such as data.md#patterns lead to headings, as on the forge, and ```mermaid is a directive.
myst_heading_anchors = 4
myst_fence_as_directive = ['mermaid']
# Tutorials hold their outputs; `make tutorials` runs them.
nb_execution_mode = 'off'

autodoc_member_order = 'bysource'
autodoc_preserve_defaults = True
autodoc_typehints_format = 'short'
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
# Annotations have short names, and two rooms have a `Report`.
suppress_warnings = ['ref.python']
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

# Lines of output are not copied, nor are prompts.
copybutton_prompt_text = r'\$ |>>> |\.\.\. '
copybutton_prompt_is_regexp = True

#: Address of the repository, to whose files links lead: that of setup.cfg, or of the forge that builds the site. Where
#: neither is known, these links are plain words.
_forge, _name = (os.environ.get(f'GITHUB_{part}', '') for part in ('SERVER_URL', 'REPOSITORY'))
repository_url = _setup['metadata'].get('url', f'{_forge}/{_name}' if _name else '').rstrip('/')
if repository_url:
    html_theme_options |= {'source_repository': f'{repository_url}/', 'source_branch': 'main',
                           'source_directory': 'docs/'}
