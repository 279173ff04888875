"""Configuration of the site.

python -m sphinx -W -n -j auto docs site   (needs the extra docs; no network)
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import pkgutil
import re
from typing import Any

import nbclient
from docutils import nodes
from jupyter_cache.executors import utils as executors

project = "saccade-env"
author = "The saccade-env developers"
copyright = "The saccade-env developers, Apache-2.0"
version = release = importlib.metadata.version("saccade-env")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["**/*.py", "site"]
suppress_warnings = ["mystnb.mime_type"]

html_theme = "furo"
html_title = "saccade-env"
html_extra_path = ["scanpath.html"]  # opened as they are, in frames
html_static_path: list[str] = []

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4

# The tutorials are executed, on the sample pictures; what fails there fails the build.
os.environ.setdefault("OMP_NUM_THREADS", "1")  # several run side by side
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_output_stderr = "remove"  # progress bars
# What a command prints comes in pieces: they are put together, or MyST-NB would show each alone.
executors.executenb = functools.partial(nbclient.execute, coalesce_streams=True)

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_use_ivar = True
add_module_names = False

# Names of other packages, whose inventories would have to be fetched.
_OTHERS = (
    "abc|collections|concurrent|contextlib|datasets|gymnasium|imageio|jaxtyping|matplotlib|np|numpy|os|pandas|"
    "pathlib|pd|PIL|pydantic|ray|stable_baselines3|sb3_contrib|torch|typing|typing_extensions"
)
nitpick_ignore_regex = [
    ("py:.*", rf"({_OTHERS})(\..*)?"),
    (
        "py:.*",
        "Tensor|ndarray|Float|Int|Bool|UInt8|Shaped|Path|Module|DependencyNotInstalled|ResetNeeded",
    ),
    ("py:.*", r".*'.*|tuple\[str"),  # names of axes, and types that were split at a comma
]


_ESCAPES = re.compile(r"\x1b(\][^\x1b\x07]*(\x1b\\|\x07)|\[[0-9;?]*[A-Za-z])")  # of terminals


def exists(app: Any, env: Any, node: Any, text: Any) -> Any:
    """Show a name of ours that has no entry here as it is, if there is such a thing."""
    name, module = node.get("reftarget", ""), node.get("py:module") or ""
    rooms = [module.rsplit(".", up)[0] for up in range(3)] if module else []
    found = any(_found(f"{room}.{name.lstrip('.')}") for room in rooms) or _found(name)
    return text if node.get("refdomain") == "py" and found else None


def _found(name: str) -> bool:
    if not name.startswith("saccade_env"):
        return False
    try:
        return pkgutil.resolve_name(name) is not None
    except (ImportError, AttributeError, ValueError):
        return False


def plain(app: Any, doctree: nodes.document) -> None:
    """Take the colours out of what commands print in the tutorials."""
    for block in doctree.findall(nodes.literal_block):
        if "\x1b" in (text := block.astext()):
            block.children = [nodes.Text(_ESCAPES.sub("", text))]
            block.rawsource = block.astext()  # what the highlighter reads


def setup(app: Any) -> None:
    app.connect("missing-reference", exists)
    app.connect("doctree-read", plain)
