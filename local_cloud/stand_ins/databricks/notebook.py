"""Execute one notebook in a fresh kernel, in a process of its own that can be ended as a whole.

`python -m local_cloud.stand_ins.databricks.notebook NOTEBOOK OUTPUT` writes OUTPUT.ipynb and OUTPUT.html,
also of a notebook that failed or was stopped by SIGTERM, and prints {"error", "trace"} as JSON.
"""

import json
import os
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# With PYTEST_CURRENT_TEST ipykernel leaves the output of child processes out of the cells.
KERNEL = {"JUPYTER_PREFER_ENV_PATH": "1", "PYTEST_CURRENT_TEST": "job"}
KERNEL["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"

# Else the kernel's ports tell every local user what the cells say and show.
ENCRYPTED = Config({"KernelManager": {"transport_encryption": "required"}})


def run(book: nbformat.NotebookNode, folder: Path, log: Path) -> dict[str, str]:
    """Execute all cells in place; what went wrong, nothing if all went well."""
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        book, kernel_name="python3", config=ENCRYPTED, resources={"metadata": {"path": str(folder)}}
    )
    client.shutdown_kernel, client.coalesce_streams, client.record_timing = "immediate", True, False
    with log.open("ab") as out:
        try:
            client.execute(env={**os.environ, **KERNEL}, stdout=out, stderr=out)
        except CellExecutionError as failed:
            found = {"error": f"{failed.ename}: {failed.evalue}", "trace": failed.traceback}
            return {name: COLOURS.sub("", text) for name, text in found.items()}
        except (RuntimeError, AssertionError) as dead:  # the second: nbclient after SIGTERM
            return {"error": f"The Python kernel ended: {dead}", "trace": ""}
    return {}


def main(source: Path, output: Path) -> None:
    """Run, keep notebook and page, say how it ended."""
    book = nbformat.read(source, as_version=4)
    wrong = run(book, source.parent, output.with_suffix(".log"))
    nbformat.write(book, output.with_suffix(".ipynb"))
    from nbconvert import HTMLExporter  # slow to import, and the notebook need not wait for it

    output.with_suffix(".html").write_text(HTMLExporter().from_notebook_node(book)[0], encoding="utf-8")
    print(json.dumps(wrong), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
