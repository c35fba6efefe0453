"""Write the Databricks lessons as notebooks that run alone: `python -m runner.single [FOLDER]`."""

import argparse
import ast
import json
import re
from pathlib import Path
from typing import Any

from helpers import databricks
from helpers.config import PARAMETERS, ROOT

LESSONS = ("08", "09", "10")
# What only the laptop's part of a lesson imports: a workspace has no API to post to.
LAPTOP = {"client", "lookup", "posting"}
# The notebook's Environment panel, as Databricks writes it into a notebook that it exports.
PANEL = "application/vnd.databricks.v1+notebook"
ENVIRONMENT = {"environment_version": str(databricks.ENVIRONMENT), "base_environment": "", "dependencies": []}
HEAD = """\
# The helpers that this lesson imports, so that it runs alone. To follow the lesson, none of it need be read.
# Settings may be filled in here; a job's parameter or a widget of the same name goes before them.
import importlib.abc
import importlib.util
import os
import sys
from pathlib import Path

SETTINGS = {settings}
os.environ.update({{name: value for name, value in SETTINGS.items() if value}})
SOURCES = {{}}
"""
TAIL = '''

class Inside(importlib.abc.MetaPathFinder, importlib.abc.ExecutionLoader):
    """Imports the modules whose source stands above, as if their files lay beside this notebook."""

    def find_spec(self, name, path=None, target=None):
        inner = any(other.startswith(f"{name}.") for other in SOURCES)
        return importlib.util.spec_from_loader(name, self, is_package=inner) if name in SOURCES else None

    def get_source(self, name):
        return SOURCES[name]

    def get_filename(self, name):
        return str(Path.cwd() / f"{name.replace('.', '/')}.py")


sys.meta_path.insert(0, Inside())
'''


def needed(source: str, package: Path) -> dict[str, str]:
    """Module name -> source, for the package and all its modules that the code imports, at any remove.

    What only a laptop imports is left out.
    """
    found, waiting = {package.name: (package / "__init__.py").read_text(encoding="utf-8")}, [source]
    while waiting:
        for name in sorted(imported(waiting.pop(), package.name) - LAPTOP):
            file = package / f"{name}.py"
            if f"{package.name}.{name}" not in found and file.exists():
                waiting.append(file.read_text(encoding="utf-8"))
                found[f"{package.name}.{name}"] = waiting[-1]
    return dict(sorted(found.items()))


def imported(source: str, package: str) -> set[str]:
    """The names of a package's modules that the code imports, wherever in it the import stands."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").removeprefix(f"{package}."))
        elif isinstance(node, ast.Import):
            names |= {name.name.removeprefix(f"{package}.") for name in node.names}
    return names


def literal(text: str) -> str:
    """The text as a Python literal that can be read, or escaped where it must be."""
    raw = f"r'''{text}'''"
    return raw if not re.search(r"'''|\r|['\\]\Z", text) else repr(text)


def alone(book: dict[str, Any], package: Path) -> dict[str, Any]:
    """The notebook with a first code cell that holds the helpers, and without links to other files.

    Its metadata choose the environment on serverless compute.
    """
    code = "\n".join("".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code")
    sources = (f'SOURCES["{name}"] = {literal(text)}\n' for name, text in needed(code, package).items())
    first: dict[str, Any] = {"cell_type": "code", "id": "helpers", "execution_count": None, "outputs": []}
    first["source"] = HEAD.format(settings=dict.fromkeys(PARAMETERS, "")) + "".join(sources) + TAIL
    first["metadata"] = {"jupyter": {"source_hidden": True}}
    cells = [dict(cell) for cell in book["cells"]]
    for cell in cells:
        if cell["cell_type"] == "markdown":
            text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", "".join(cell["source"]))
            cell["source"] = re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)
    metadata = {**book["metadata"], PANEL: {"language": "python", "environmentMetadata": ENVIRONMENT}}
    return {**book, "metadata": metadata, "cells": [cells[0], first, *cells[1:]]}


def main(arguments: list[str] | None = None) -> None:
    """Write every lesson that runs on Databricks into one folder and print its path."""
    parser = argparse.ArgumentParser(prog="python -m runner.single", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / ".local" / "databricks")
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if path.name[:2] in LESSONS:
            book = alone(json.loads(path.read_text(encoding="utf-8")), ROOT / "helpers")
            (folder / path.name).write_text(json.dumps(book, indent=1, ensure_ascii=False), encoding="utf-8")
            print(folder / path.name)


if __name__ == "__main__":
    main()
