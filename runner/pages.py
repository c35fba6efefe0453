"""Executed notebooks as plain HTML with an index: no script, nothing from the network, pictures inside."""

import base64
import html
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbformat import NotebookNode

STYLE = """
body { max-width: 56rem; margin: 2rem auto; padding: 0 1rem; color: #2b2b2b; background: #fff;
       font: 16px/1.55 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
h1, h2, h3 { line-height: 1.25; } h2 { margin-top: 2.2rem; border-bottom: 1px solid #d9d3cc; }
a { color: #c8232c; } img, svg { max-width: 100%; height: auto; }
code { font-size: .92em; background: #f6f3f0; padding: .1em .25em; border-radius: 3px; }
pre { font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; margin: 0;
      overflow-x: auto; }
pre code { background: none; padding: 0; font-size: 1em; }
.input_area pre, .text_cell_render pre { background: #f6f3f0; border-left: 3px solid #d9d3cc;
                                         padding: .6rem .8rem; }
.output_area { margin: .5rem 0; overflow-x: auto; } .output_area > .output_subarea > pre { padding: 0 .8rem; }
.output_error pre, .output_stderr pre { background: #fdeceb; border-left: 3px solid #c8232c;
                                        padding: .6rem .8rem; }
.code_cell { margin: .9rem 0; } .prompt, .anchor-link { display: none; }
table { border-collapse: collapse; margin: .6rem 0; font-size: .9rem; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #e9e4df; text-align: left; }
table.dataframe { border: 0; } table.dataframe td, table.dataframe th, td.n { text-align: right; }
.failed { color: #c8232c; font-weight: bold; } .quiet { color: #8a8178; }
"""


@dataclass
class Row:
    """One notebook on the index: how it went (`ran`, `failed`, `not run`), its seconds if measured."""

    path: Path
    state: str
    seconds: float | None = None


def title(book: NotebookNode, path: Path) -> str:
    """The notebook's first heading, or its file name."""
    for cell in book.cells:
        for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
            if line.startswith("# "):
                return str(line[2:].strip())
    return path.stem


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

    return str(HtmlFormatter(style="friendly", nobackground=True).get_style_defs(".highlight"))


def write(rows: list[Row], executed: Path, folder: Path, summary: str) -> Path:
    """Write a page for every notebook that ran, and the index; returns the index.

    `executed` holds the executed copies, `folder` the notebooks' own folder; pages go to `executed`/html.
    """
    target = executed / "html"
    target.mkdir(parents=True, exist_ok=True)
    lines = []
    for row in rows:
        file = executed / row.path.name
        file = file if file.exists() else row.path
        book = nbformat.read(file, as_version=4)
        name, seconds = (
            html.escape(title(book, row.path)),
            "" if row.seconds is None else f"{row.seconds:.1f} s",
        )
        if row.state != "not run":
            (target / f"{row.path.stem}.html").write_text(render(book, row.path, folder), encoding="utf-8")
            name = f'<a href="{row.path.stem}.html">{name}</a>'
        look = {"failed": "failed", "not run": "quiet"}.get(row.state, "")
        lines.append(
            f'<tr><td>{name}</td><td class="{look}">{row.state}</td><td class="n">{seconds}</td></tr>'
        )
    table = "<table><tr><th>lesson</th><th></th><th></th></tr>\n" + "\n".join(lines) + "</table>"
    index = target / "index.html"
    heading = "Pinterest data pipeline: the lessons as they ran"
    index.write_text(
        page(heading, f"<h1>{heading}</h1>\n{table}\n<pre>{html.escape(summary)}</pre>"), encoding="utf-8"
    )
    return index
