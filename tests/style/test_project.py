"""Budgets, boundaries and promises of the repository as a whole."""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from images import make_drawings, make_maps
from tests.style.notebook_rules import ROOT, SERIES, load

# Made by tools, not written: git ignores them.
NOT_OURS = {".git", ".venv", ".local", ".ruff_cache", ".mypy_cache", ".hypothesis", "spark-warehouse"}
TEXT = {".py", ".java", ".md", ".ipynb", ".toml", ".txt", ".xml", ".yml", ".cfg", ".json", ".svg", ".sql"}
NAMED = ("Makefile", "LICENSE", ".gitignore", ".env.example", "run")
# Said while the project was made; a reader has no use for it. (Brackets: this file must not match.)
TALK = re.compile(
    r"(?i:\bissue[s]? #?\d|\bthe lea[d]\b|\bsub-?agen[t]|\bplan of recor[d]\b|\bmy brie[f]\b)"
    r"|\b(design|facts|style|cases|exercises)[.]md\b|/wor[k]/(main|shared)"
    r"|\bprototypes[/]|\bTOD[O]\b|\bFIXM[E]\b"
)
SECRET = re.compile(
    r"\bA[K]IA(?!IOSFODNN7EXAMPLE)(?=[A-Z]*\d)[A-Z2-7]{16}\b|-----BEGIN [A-Z ]*PRIVATE KE[Y]"
    r"|\bgh[ps]_[A-Za-z0-9]{30,}|\bdap[i][0-9a-f]{32}\b|aws_secret_access_ke[y]\s*=\s*[A-Za-z0-9/+]{40}\b"
)


def files() -> Iterator[Path]:
    """Every text file of the project that a person wrote."""
    for folder, below, names in os.walk(ROOT):
        below[:] = sorted(name for name in below if name not in NOT_OURS and not name.endswith("cache__"))
        for name in sorted(names):
            if Path(name).suffix in TEXT or name in NAMED:
                yield Path(folder, name)


def short(paths: list[Path]) -> list:
    """Parameters with readable ids."""
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


def lines(path: Path) -> int:
    """Lines of code: blank ones, comments and docstrings do not count."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".java":
        source = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
        return sum(bool(line.strip()) and not line.strip().startswith("//") for line in source.splitlines())
    words = [
        node.body[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node) is not None
    ]
    said = {number for word in words for number in range(word.lineno, (word.end_lineno or 0) + 1)}
    return sum(
        number not in said and bool(line.strip()) and not line.strip().startswith("#")
        for number, line in enumerate(source.splitlines(), 1)
    )


def imports(source: str) -> set[str]:
    """Top-level packages that Python source imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found


FILES = list(files())
HELPERS = sorted(
    path for folder in ("helpers", "sizing", "tear_down") for path in (ROOT / folder).glob("*.py")
)
LOCAL = sorted(path for path in (ROOT / "local_cloud").rglob("*") if path.suffix in {".py", ".java"})
PAGES = [path for path in FILES if path.suffix == ".md"]


@pytest.mark.parametrize("path", short(HELPERS))
def test_helper_is_small(path: Path) -> None:
    assert lines(path) <= 200


@pytest.mark.parametrize("path", short([path for path in LOCAL if "stand_ins" in path.parts]))
def test_stand_in_is_small(path: Path) -> None:
    assert lines(path) <= 400


def test_helpers_stay_within_their_budget() -> None:
    assert sum(lines(path) for path in HELPERS if path.parent.name == "helpers") <= 1950


# Spark's `kinesis` source is a package of its own, which only happens to lie there.
@pytest.mark.parametrize(("suffix", "most"), [(".py", 5350), (".java", 1100)])
def test_local_cloud_stays_within_its_budget(suffix: str, most: int) -> None:
    assert sum(lines(path) for path in LOCAL if path.suffix == suffix and "kinesis" not in path.parts) <= most


def test_lines_of_code_are_counted(tmp_path: Path) -> None:
    python, java = tmp_path / "a.py", tmp_path / "A.java"
    python.write_text('"""Doc.\n\nMore."""\n\n# why\ndef f():\n    """Doc."""\n    return 1\n')
    java.write_text("/** Doc.\n * More. */\nclass A {\n  // why\n\n  int n;\n}\n")
    assert (lines(python), lines(java)) == (2, 3)


@pytest.mark.parametrize("path", short(HELPERS))
def test_helper_does_not_know_the_local_cloud(path: Path) -> None:
    assert "local_cloud" not in imports(path.read_text(encoding="utf-8"))


def test_imports_are_found_where_they_stand() -> None:
    assert imports("import a.b\ndef f():\n    from c.d import e\nfrom . import g") == {"a", "c"}


@pytest.mark.parametrize("path", short([path for path in FILES if path != Path(__file__)]))
def test_file_keeps_to_the_subject_and_holds_no_secret(path: Path) -> None:
    found = path.read_text(encoding="utf-8")
    assert [match[0] for match in TALK.finditer(found)] == []
    assert [match[0][:8] for match in SECRET.finditer(found)] == []


def test_talk_and_secrets_are_recognised() -> None:
    assert (
        TALK.search("see issue " + "#3")
        and TALK.search("as the le" + "ad said")
        and not TALK.search("the leading zeros")
    )
    assert SECRET.search("AKIA" + "2345672345ABCDEF") and not SECRET.search("AKIA" + "IOSFODNN7EXAMPLE")


@pytest.mark.parametrize("path", short(PAGES))
def test_links_of_the_page_resolve(path: Path) -> None:
    broken = [
        target
        for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
        if not re.match(r"[a-z]+:|#|\.\./\.\./(actions/)?workflows/", target)  # GitHub's own pages
        and not (path.parent / unquote(target.split("#")[0])).exists()
        and Path(target).stem not in SERIES  # a lesson still to be written
    ]
    assert broken == []


def test_readme_exists() -> None:
    assert (ROOT / "README.md").exists()


def test_every_picture_is_used() -> None:
    said = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    said += "".join(load(path).prose for path in (ROOT / "notebooks").glob("*.ipynb"))
    unwritten = {name[:2] for name in SERIES if not (ROOT / "notebooks" / f"{name}.ipynb").exists()}
    pictures = [path.name for path in (ROOT / "images").iterdir() if path.suffix in {".svg", ".png"}]
    waiting = {f"map_{number}.svg" for number in unwritten}
    waiting |= set(make_drawings.drawings()) if unwritten else set()
    assert [name for name in sorted(pictures) if name not in said and name not in waiting] == []


def test_pictures_are_what_the_programs_draw() -> None:
    drawn = make_maps.drawings() | make_drawings.drawings()
    kept = {name: (ROOT / "images" / name).read_text(encoding="utf-8") for name in drawn}
    assert [name for name in drawn if drawn[name] != kept[name]] == []


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("path", short(PAGES))
def test_make_targets_that_the_page_names_exist(path: Path) -> None:
    named = set(re.findall(r"`make ([a-z][\w-]*)|^make ([a-z][\w-]*)", path.read_text(), flags=re.MULTILINE))
    assert {one or other for one, other in named} <= targets()


@pytest.mark.parametrize("path", short(sorted((ROOT / ".github" / "workflows").glob("*.yml"))))
def test_make_targets_that_the_workflow_runs_exist(path: Path) -> None:
    steps = [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]
    named = set(re.findall(r"\bmake ([a-z][\w-]*)", "\n".join(step.get("run", "") for step in steps)))
    assert named and named <= targets()


def test_ci_runs_the_tests() -> None:
    file = ROOT / ".ci" / "run"
    assert re.search(r"^\s*(exec )?make test\b", file.read_text(), flags=re.MULTILINE)
    assert file.stat().st_mode & 0o100


def packages(path: Path) -> dict[str, str]:
    """Package names of a requirements file with their exact version, or nothing."""
    found = {}
    for line in path.read_text().splitlines():
        match = re.match(
            r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(?:==\s*([^\s;#]+))?", line.split("#")[0].strip()
        )
        if match and not line.startswith("-"):
            found[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[2] or ""
    return found


@pytest.mark.parametrize("path", short(sorted(ROOT.glob("requirements*.txt"))))
def test_every_requirement_is_pinned(path: Path) -> None:
    pins = packages(ROOT / "constraints.txt")
    wanted = packages(path)
    assert [name for name in wanted if not pins.get(name)] == []
    assert {name: version for name, version in wanted.items() if version and pins[name] != version} == {}


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_readme_has_each_lesson_with_its_title_and_minutes(path: Path) -> None:
    first = load(path).cells[0].text
    title = re.match(r"# (.+)", first)
    minutes = re.search(r"\*\*minutes\*\* (\d+) reading, (\d+) running", first)
    assert title and minutes
    row = rf"^\| \[{re.escape(title[1])}\]\(notebooks/{path.name}\) \|.*\| {minutes[1]} \| {minutes[2]} \|"
    assert re.search(row, (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
