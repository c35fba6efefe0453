"""Build the lessons as a site: `make book`, or `python -m book.build [FOLDER]`; the pages go to .local/book.

The committed notebooks are copied beside the pages that explain the project, so that every link between them
holds; Sphinx makes pages of them, and every link of the finished site is looked up. A link that leads nowhere
ends the build.
"""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent
SITE = ROOT / ".local" / "book"
PARTS = (  # caption in the navigation, the first lesson and the last
    ("Start", 0, 1),
    ("Into Kafka", 2, 5),
    ("Out to S3 and into answers", 6, 10),
    ("Every day", 11, 11),
    ("As a stream", 12, 14),
    ("Can it be trusted, and what does it cost?", 15, 17),
)
PAGES = (
    "local_cloud/README.md",
    "local_cloud/operations.md",
    "local_cloud/stand_ins/kinesis/README.md",
    "data_samples/README.md",
    "benchmarks/README.md",
    "benchmarks/micro_batches.md",
    "TROUBLESHOOTING.md",
)


def lessons() -> list[Path]:
    """The notebooks in order."""
    return sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def contents() -> str:
    """The navigation: every lesson once, under its part, then the pages about the project."""
    lists = []
    for caption, first, last in PARTS:
        names = [path.stem for path in lessons() if first <= int(path.name[:2]) <= last]
        lists.append((caption, [f"notebooks/{name}" for name in names]))
    lists.append(("The project", [page.removesuffix(".md") for page in PAGES]))
    return "".join(
        f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(names) + "\n```\n\n"
        for caption, names in lists
    )


def stage(folder: Path) -> None:
    """Copy what becomes pages, in the project's own layout."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in lessons():
        (folder / "notebooks").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / "notebooks")
    for page in PAGES:
        (folder / page).parent.mkdir(parents=True, exist_ok=True)
        (folder / page).write_text(_without_files(ROOT / page), encoding="utf-8")
    shutil.copytree(ROOT / "images", folder / "images", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    index = (HERE / "index.md").read_text(encoding="utf-8")
    (folder / "index.md").write_text(index + contents(), encoding="utf-8")
    for name in ("conf.py", "book.css"):
        shutil.copy(HERE / name, folder)


def _without_files(page: Path) -> str:
    """The page, with only the name left of each link to a file that is no page of the site."""

    def plain(found: re.Match[str]) -> str:
        target = (page.parent / found[2].partition("#")[0]).resolve()
        known = "://" in found[2] or found[2].startswith("#") or target in {ROOT / name for name in PAGES}
        return found[0] if known else found[1]

    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", plain, page.read_text(encoding="utf-8"))


class Links(HTMLParser):
    """Collects of one page what it leads to or loads, and the places in it that can be led to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one element's addresses and name."""
        have = dict(attrs)
        self.places |= {name for name in (have.get("id"), have.get("name") if tag == "a" else None) if name}
        if have.get("href") and tag == "a":
            self.targets.append(have["href"] or "")
        stylesheet = tag == "link" and have.get("rel") in ("stylesheet", "preload", "icon")
        for name in ("src", "href") if tag != "a" else ():
            if have.get(name) and (name == "src" or stylesheet):
                self.loads.append(have[name] or "")


def faults(site: Path) -> list[str]:
    """Every link inside the site that leads nowhere, and everything that a page loads from elsewhere."""
    written = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]
    pages = {path: Links(path.read_text(encoding="utf-8")) for path in written}
    found = []
    for path, links in pages.items():
        name = path.relative_to(site)
        for address in links.targets + links.loads:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if address in links.loads and parts.scheme != "data":
                    found.append(f"{name} loads {address}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                found.append(f"{name} leads to {address}, which does not exist")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places:
                found.append(f"{name} leads to {address}, a place that does not exist")
    return sorted(set(found))


def main(folder: Path) -> int:
    """Build into the folder; returns the exit code."""
    source = folder / "source"
    stage(source)
    shutil.rmtree(folder / "html", ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-W", "--keep-going", "-j", "auto"]
    done = subprocess.run([*command, "-d", folder / "doctrees", source, folder / "html"], check=False)
    if done.returncode:
        return done.returncode
    wrong = faults(folder / "html")
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    print(f"Read it: {folder / 'html' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve() if sys.argv[1:] else SITE))
