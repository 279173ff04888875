"""The site: these pages, by Sphinx."""

project = "saccade-env"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = project
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # links to files of the repository
