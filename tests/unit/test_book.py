"""The site of the lessons: what goes into it, and how a broken link is found. `make soak` builds it whole."""

import re
from pathlib import Path

from book import build
from tests.style.notebook_rules import ROOT
from tests.style.test_pins import hashes
from tests.style.test_project import packages


def test_every_lesson_stands_in_the_navigation_once_and_in_order() -> None:
    named = re.findall(r"^notebooks/(\w+)$", build.contents(), flags=re.MULTILINE)
    assert named == [path.stem for path in build.lessons()]
    assert [last + 1 for _, _, last in build.PARTS[:-1]] == [first for _, first, _ in build.PARTS[1:]]


def test_what_is_no_page_of_the_site_is_no_link_there(tmp_path: Path) -> None:
    build.stage(tmp_path / "source")
    pages = {path.relative_to(tmp_path / "source") for path in (tmp_path / "source").rglob("*.md")}
    assert pages == {Path("index.md"), *map(Path, build.PAGES)}
    for page in pages:
        text = (tmp_path / "source" / page).read_text(encoding="utf-8")
        links = re.findall(r"\]\((?!\w+:)([^)#\s]+)", text)
        assert [link for link in links if not (tmp_path / "source" / page.parent / link).is_file()] == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(
        '<a href="sub/b.html#here">1</a> <a href="sub/b.html#gone">2</a> <a href="c.html">3</a>'
        '<a href="#top">4</a> <h1 id="top"></h1> <a href="https://docs.python.org/">5</a>'
        '<script src="https://cdn.example/x.js"></script>'
    )
    (tmp_path / "sub" / "b.html").write_text('<a name="here"></a><a href="../a.html">6</a><img src="x.svg">')
    assert build.faults(tmp_path) == [
        "a.html leads to c.html, which does not exist",
        "a.html leads to sub/b.html#gone, a place that does not exist",
        "a.html loads https://cdn.example/x.js",
        "sub/b.html leads to x.svg, which does not exist",
    ]


def test_nothing_is_executed_and_a_price_is_no_formula() -> None:
    settings: dict[str, object] = {}
    exec((ROOT / "book" / "conf.py").read_text(encoding="utf-8"), settings)
    assert settings["nb_execution_mode"] == "off"
    assert "dollarmath" not in settings["myst_enable_extensions"]  # type: ignore[operator]


def test_its_packages_are_locked_and_are_the_project_s_where_both_have_them() -> None:
    locked = hashes((ROOT / "book" / "requirements.lock").read_text())
    assert locked and [name for name, sums in locked.items() if not sums] == []
    wanted = packages(ROOT / "book" / "requirements.txt")
    assert {f"{name}=={version}" for name, version in wanted.items()} <= set(locked)
    shared = packages(ROOT / "constraints.txt")
    for line in locked:
        name, _, version = line.partition(" ;")[0].partition("==")
        assert shared.get(name) is None or re.search(
            rf"^{re.escape(name)}=={re.escape(version)}( |$)",
            (ROOT / "constraints.txt").read_text(),
            flags=re.MULTILINE,
        )
