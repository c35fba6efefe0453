"""Copy what was measured to the project's README: at the end of `make bench`, and by hand."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROW = re.compile(r"^\| (.+?) \| (.+) \|$", flags=re.MULTILINE)


def updated(page: str, measured: str) -> str:
    """The page, each row of its table of speed with the value that `measured` has under the same name."""
    values = dict(ROW.findall(measured))
    before, heading, rest = page.partition("## Speed and reliability")
    table, end, after = rest.partition("\n## ")
    table = ROW.sub(lambda row: f"| {row[1]} | {values.get(row[1], row[2])} |", table)
    return before + heading + table + end + after


def main() -> None:
    """Rewrite README.md."""
    page = ROOT / "README.md"
    measured = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    page.write_text(updated(page.read_text(encoding="utf-8"), measured), encoding="utf-8")


if __name__ == "__main__":
    main()
