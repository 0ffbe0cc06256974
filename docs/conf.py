"""Settings of Sphinx for ``make docs``: pages that ``docsite/pages.py`` laid into build/docs-source."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from docsite import docstrings

import fastjag

project = "fastjag"
author = copyright = "The fastjag developers"
release = version = fastjag.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "index"
html_theme = "furo"
html_title = f"fastjag {release}"
html_static_path = ["docsite/site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False

myst_heading_anchors = 4  # links such as physics.md#pairs are checked
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_type_aliases = {
    name: name for name in ("Array", "ArrayLike", "DTypeLike", "Files", "Offsets")
}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100


def setup(app):
    app.connect("autodoc-process-docstring", docstrings.as_rst)
    app.connect("autodoc-process-signature", docstrings.shorten)
    app.connect("autodoc-skip-member", docstrings.skip)
