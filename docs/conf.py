"""How this folder becomes a site: ``sphinx-build -W -n -b html docs build/site``."""

from __future__ import annotations

import sys
from pathlib import Path

import captum_ilin

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "captum_ilin"
author = copyright = "The captum_ilin developers"
release = version = captum_ilin.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.bibtex",
    "contents",  # the remaining three are files in extensions/
    "docstrings",
    "repositoryfiles",
]
exclude_patterns = ["_build"]  # Sphinx's usual place, for those who build there

html_theme = "furo"
html_title = f"captum_ilin {release}"

# Links from page to page name headings as a code host does, down to ###.
myst_heading_anchors = 3

smartquotes = False  # x' is a point

# Docstrings are Google's; what stands in single backticks in them is code. Their return lines
# begin with a type or, as often, with words, so neither is linked.
default_role = "literal"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
autodoc_default_options = {"members": True}

# Types are not looked up: the inventories of torch, Captum and Python are on the network, in
# docstrings a type may be in words, and some signatures name one that is not public. Errors are
# looked up, and so is everything public that is written out in full.
nitpick_ignore_regex = [
    ("py:class", r"(?!captum_ilin\.).*"),
    ("py:class", r"captum_ilin\.[a-z.]+\.(Counterpart|FrozenGraph|T|_RuleFunction)"),
]

bibtex_bibfiles = ["bibliography.bib"]
bibtex_default_style = "plain"
