"""Sphinx's settings: the notebooks as committed. Nothing is executed; reading a page fetches nothing.

Sphinx with MyST-NB and the book theme comes whole from the package registry. Jupyter Book 2 and Quarto would
fetch a program or a theme from elsewhere.
"""

project = "Pinterest data pipeline"
author = "the authors of the workbook"
extensions = ["myst_nb"]
root_doc = "index"
nb_execution_mode = "off"
nb_merge_streams = True
# `$` is a price here, never mathematics.
myst_enable_extensions: list[str] = []
myst_heading_anchors = 3
html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["book.css"]
html_css_files = ["book.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_toc_level": 2,
    "show_navbar_depth": 1,
    "navbar_persistent": [],  # the search stands in the side bar already
    "use_download_button": False,
    "use_fullscreen_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
