"""Executed notebooks as plain HTML with an index: no script, nothing from the network, pictures inside."""

import base64
import html
import mimetypes
import re
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from runner.overview import Row, overview, title

STYLE = """
:root { color-scheme: light dark; --ink: #2b2b2b; --paper: #fff; --soft: #f6f3f0; --line: #d9d3cc;
        --red: #c8232c; --grey: #756c63; --alarm: #fdeceb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --soft: #161b22;
        --line: #3d444d; --red: #ff7b80; --grey: #9198a1; --alarm: #3a1719; } }
body { max-width: 56rem; margin: 2rem auto; padding: 0 1rem; color: var(--ink); background: var(--paper);
       font: 16px/1.55 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
h1, h2, h3 { line-height: 1.25; } h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
a { color: var(--red); } img, svg { max-width: 100%; height: auto; }
code { font-size: .92em; background: var(--soft); padding: .1em .25em; border-radius: 3px; }
pre { font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; margin: 0;
      overflow-x: auto; }
pre code { background: none; padding: 0; font-size: 1em; }
.input_area pre, .text_cell_render pre { background: var(--soft); border-left: 3px solid var(--line);
                                         padding: .6rem .8rem; }
.output_area { margin: .5rem 0; overflow-x: auto; } .output_area > .output_subarea > pre { padding: 0 .8rem; }
.output_error pre, .output_stderr pre { background: var(--alarm); border-left: 3px solid var(--red);
                                        padding: .6rem .8rem; }
.code_cell { margin: .9rem 0; } .prompt, .anchor-link { display: none; }
.output_png img, figure img { background: #fff; border-radius: 8px; }
table { border-collapse: collapse; margin: .6rem 0 1.2rem; font-size: .9rem; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left; }
table.dataframe { border: 0; } table.dataframe td, table.dataframe th, td.n, th.n { text-align: right; }
td.n { font-variant-numeric: tabular-nums; white-space: nowrap; }
.failed { color: var(--red); font-weight: bold; } .quiet { color: var(--grey); }
.totals { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.5rem 0; }
.totals div { flex: 1; min-width: 7rem; padding: .8rem 1rem; border: 1px solid var(--line);
              border-radius: 10px; background: var(--soft); color: var(--grey); font-size: .85rem; }
.totals b { display: block; color: var(--ink); font-size: 1.5rem; line-height: 1.3; }
table.wide { width: 100%; } td.time { position: relative; width: 45%; padding: 0; }
td.time i { position: absolute; top: .55rem; height: .7rem; min-width: 2px; border-radius: 2px;
            background: var(--grey); } td.time i.failed { background: var(--red); }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; }
.charts figure { flex: 1; min-width: 20rem; margin: 0; }
figcaption { color: var(--grey); font-size: .85rem; }
"""


def page(heading: str, body: str) -> str:
    """A whole HTML document."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f"<title>{html.escape(heading)}</title>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def render(book: NotebookNode, path: Path, folder: Path) -> str:
    """One notebook as HTML. Pictures are taken from `folder` and embedded; links lead to the sister pages."""
    exporter = HTMLExporter(template_name="basic", anchor_link_text="")
    body, _ = exporter.from_notebook_node(book)
    body = re.sub(r'href="(\d\d_\w+)\.ipynb(#[^"]*)?"', r'href="\1.html\2"', body)
    # nbconvert embeds nothing from outside the notebook's own folder, so this is done here.
    body = re.sub(r'src="(\.\./images/[\w.-]+)"', lambda found: f'src="{_embedded(folder / found[1])}"', body)
    body = re.sub(r"<style.*?</style>|<script.*?</script>", "", body, flags=re.DOTALL)
    return page(
        title(book, path), f'<p><a href="index.html">All lessons</a></p>\n<style>{_colours()}</style>{body}'
    )


def _embedded(picture: Path) -> str:
    if not picture.exists():
        return ""
    kind = mimetypes.guess_type(picture.name)[0]
    return f"data:{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"


def _colours() -> str:
    from pygments.formatters import HtmlFormatter

    light, dark = (
        HtmlFormatter(style=style, nobackground=True).get_style_defs(".highlight")
        for style in ("friendly", "github-dark")
    )
    return f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}"


def write(rows: list[Row], executed: Path, folder: Path, counts: dict[str, dict[str, int]]) -> Path:
    """Write a page for every notebook that ran, and the first page; returns the first page.

    `executed` holds the executed copies, `folder` the notebooks' own folder; pages go to `executed`/html.
    """
    target = executed / "html"
    target.mkdir(parents=True, exist_ok=True)
    books = []
    for row in rows:
        file = executed / row.path.name
        books.append(nbformat.read(file if file.exists() else row.path, as_version=4))
        if row.state != "not run":
            content = render(books[-1], row.path, folder)
            (target / f"{row.path.stem}.html").write_text(content, encoding="utf-8")
    index = target / "index.html"
    index.write_text(page("The pipeline, as it ran", overview(rows, books, counts)), encoding="utf-8")
    return index
