"""What makes a notebook a lesson of this series: one function a rule, each giving a list of complaints."""

import ast
import functools
import gzip
import io
import json
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[2]
SERIES = (
    "00_start_here",
    "01_meet_the_data",
    "02_msk_cluster",
    "03_ec2_kafka_client",
    "04_kafka_rest_proxy",
    "05_api_gateway",
    "06_s3_sink_connector",
    "07_post_a_batch",
    "08_read_from_s3",
    "09_clean_the_batch",
    "10_answer_questions",
    "11_schedule_with_mwaa",
    "12_kinesis_streams",
    "13_post_a_stream",
    "14_stream_to_delta",
    "15_trust_the_numbers",
    "16_scale_and_cost",
    "17_tear_down",
)
CLOSING = ("Your turn", "Recap", "Solution", "Clean up")
STRIP = ("runs on", "real", "emulated", "stand-in", "minutes", "reading", "running", "cost on aws")
LONGEST_CELL, USUAL_CELL = 15, 10  # lines of code
MOST_LAMBDAS = 3
SILENT_SHARE = 5  # at most one code cell in five shows nothing
OUTCOMES = range(3, 5)
DOCUMENTATION = range(2, 5)  # links under "Read on"
CELLS = range(15, 41)
LONGEST_OUTPUT = 40  # lines of text, or rows of a table
TEXT_BYTES, ALL_BYTES = 100_000, 150_000  # of the file without and with its pictures
# On the client machine the REST proxy is a neighbour: its own address is no secret of this computer.
ALLOWED_ADDRESSES = ("localhost:8082", "0.0.0.0:8082")
LITERALS = {
    "a loopback address": r"127\.0\.0\.1|\blocalhost\b",
    "an address in numbers": r"https?://\d",
    "a port": r"[\w.\]-]+:\d{4,5}\b(?!-)",
    "a host of a region": r"\b(us|eu|ap|sa|ca)-[a-z]+-\d\.amazonaws",
    "an access key": r"\b(AKIA|ASIA)[A-Z0-9]{12,}",
    "a secret": r"(?i)aws_secret_access_key\s*=\s*\S",
    "an account number": r"(?<!\d)\d{12}(?!\d)",
    "a bucket": r"\bs3a?://[a-z0-9]|\buser-[a-z0-9]+-bucket\b",
    "the default user id": r"0a1b2c3d4e5f",
}
UNWANTED_CODE = {
    "a pandas Styler": r"\.style\.",
    "a widget": r"\bipywidgets\b|\bwidgets\.",
    "waiting for the keyboard": r"\b(input|getpass)\(",
    "waiting by sleeping": r"\bsleep\(",
    "dbutils": r"\bdbutils\b",
    "clear_output": r"\bclear_output\b",
    "import *": r"\bimport \*",
    "store.url": r"\bstore\.url\b",
    "local_cloud": r"\blocal_cloud\b",
}
VOLATILE = {
    "a path of this computer": r"(?<![\w./-])/(home|root|work|tmp|Users|private|var/folders)/",
    "a date of today": r"\b20(2[4-9]|[3-9]\d)-\d\d-\d\d",
    "a measured time": r"\b\d+\.\d+ ?(s|ms|µs|seconds)\b",
    "an address": r"(127\.0\.0\.1|localhost):\d+",
    "an account number": r"(?<![\w.])\d{12}(?![\w.])",
    "an AWS id": r"\b(vpc|subnet|sg|i|igw|rtb|nat|eipalloc|vpce|ami)-[0-9a-f]{8,17}\b",
}
UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
SCREENSHOTS = ("../images/airflow_grid.png",)  # what a browser shows cannot be drawn as SVG
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)[^)]*\)")


@dataclass
class Cell:
    """One cell: `kind` is code or markdown."""

    kind: str
    text: str
    id: str | None
    metadata: dict
    count: int | None = None
    outputs: list[dict] = field(default_factory=list)


@dataclass
class Book:
    """One notebook with what the rules look at."""

    path: Path
    raw: dict
    cells: list[Cell]

    @property
    def code(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.kind == "code" and cell.text.strip()]

    @property
    def prose(self) -> str:
        return "\n\n".join(cell.text for cell in self.cells if cell.kind == "markdown")

    @property
    def number(self) -> int:
        return int(self.path.name[:2]) if self.path.name[:2].isdigit() else -1

    @property
    def headings(self) -> list[str]:
        return re.findall(r"^## (.+?)\s*$", self.prose, flags=re.MULTILINE)


def load(path: Path) -> Book:
    """Read a notebook file."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    cells = [
        Cell(
            cell["cell_type"],
            "".join(cell["source"]),
            cell.get("id"),
            cell["metadata"],
            cell.get("execution_count"),
            cell.get("outputs", []),
        )
        for cell in raw["cells"]
    ]
    return Book(path, raw, cells)


def plain(words: str) -> str:
    """A heading or a bullet without markup, number and full stop, for comparing."""
    words = re.sub(r"[`*_]", "", words)
    return re.sub(r"^\d+[.)·]\s*", "", words).strip().rstrip(".:;").casefold()


def output_texts(cell: Cell) -> Iterator[str]:
    """Every text that the cell's outputs show; pictures left out."""
    for output in cell.outputs:
        yield "".join(output.get("text", ""))
        yield "\n".join([output.get("evalue", ""), *output.get("traceback", [])])
        for kind, content in output.get("data", {}).items():
            if not kind.startswith("image/"):
                yield content if isinstance(content, str) else "".join(map(str, content))


def strings(cell: Cell) -> Iterator[str]:
    """Every string and number that the code writes out, f-strings piece by piece."""
    try:
        tree = ast.parse(cell.text)
    except SyntaxError:
        yield cell.text
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int):
            yield str(node.value)


def section(book: Book, heading: str) -> list[Cell]:
    """The cells from the one that holds this `##` heading to the one that holds the next."""
    found: list[Cell] = []
    for cell in book.cells:
        names = re.findall(r"^## (.+?)\s*$", cell.text, flags=re.MULTILINE) if cell.kind == "markdown" else []
        if names and found:
            break
        if found or heading in names:
            found.append(cell)
    return found


@functools.cache
def sample_ids() -> frozenset[str]:
    """The unique ids of the sample posts: the only such ids that a page may show."""
    ids: set[str] = set()
    for file in (ROOT / "data_samples").glob("topics/pin/**/*.json.gz"):
        ids.update(UUID.findall(gzip.decompress(file.read_bytes()).decode()))
    return frozenset(ids)


# --- the rules ---------------------------------------------------------------------------------------------


def file_name(book: Book) -> list[str]:
    """The name is one of the series."""
    return [] if book.path.stem in SERIES else [f"{book.path.name} is not a name of the series"]


def header(book: Book) -> list[str]:
    """First cell: title with number, one sentence, After this lesson you can with bullets, You need."""
    first = book.cells[0].text if book.cells and book.cells[0].kind == "markdown" else ""
    lines = [line.strip() for line in first.splitlines() if line.strip()]
    wrong = []
    if not re.match(rf"# {book.path.name[:2]} · \S", first):
        wrong.append(f"the title is not '# {book.path.name[:2]} · ...'")
    if len(lines) < 2 or not re.match(r"[A-Z`].*[.!?]$", lines[1]):
        wrong.append("no sentence under the title")
    if len(outcomes(book)) not in OUTCOMES:
        wrong.append(f"'After this lesson you can' has {len(outcomes(book))} bullets")
    if not re.search(r"\bYou need\b", first):
        wrong.append("no 'You need'")
    return wrong


def outcomes(book: Book) -> list[str]:
    """The bullets under "After this lesson you can"."""
    pattern = r"After this lesson you can\W*\n((?:\s*[-*] .+\n?)+)"
    found = re.search(pattern, book.cells[0].text if book.cells else "")
    return re.findall(r"^\s*[-*] (.+?)\s*$", found[1], flags=re.MULTILINE) if found else []


def new_words(book: Book) -> list[str]:
    """A table of the words that the reader meets here for the first time, before the first step."""
    top = book.prose.partition("\n## ")[0]
    table = re.search(
        r"\*\*New words\*\*.*?\n\s*\|.+\|\s*\n\s*\|[-: |]+\|\s*\n\s*\|.+\|", top, flags=re.DOTALL
    )
    return [] if table else ["no table of new words before the first heading"]


def strip(book: Book) -> list[str]:
    """One line near the title says where it runs, what is real, how long it takes and what it costs."""
    lines = [line.casefold() for cell in book.cells[:2] for line in cell.text.splitlines()]
    pattern = ".*".join(re.escape(word) for word in STRIP)
    return [] if any(re.search(pattern, line) for line in lines) else [f"no strip {' · '.join(STRIP)}"]


def map_image(book: Book) -> list[str]:
    """The map of this lesson stands near the title."""
    top = "\n".join(cell.text for cell in book.cells[:3])
    name = f"../images/map_{book.path.name[:2]}.svg"
    return [] if name in top else [f"no picture {name} in the first three cells"]


def first_code(book: Book) -> list[str]:
    """The first code cell: imports and use_target(), no more."""
    if not book.code or "use_target()" not in book.code[0].text:
        return ["the first code cell does not call config.use_target()"]
    lines = [line for line in book.code[0].text.splitlines() if line.strip()]
    return [] if len(lines) <= USUAL_CELL else [f"the first code cell has {len(lines)} lines"]


def outcomes_are_no_headings(book: Book) -> list[str]:
    """An outcome says what the reader can do then; it repeats no heading."""
    headings = {plain(heading) for heading in book.headings}
    return [f"{goal!r} is a heading" for goal in outcomes(book) if plain(goal) in headings]


def anatomy(book: Book) -> list[str]:
    """Your turn, Recap and Solution stand last, in this order; Clean up may follow."""
    last = [heading for heading in book.headings if heading in CLOSING]
    if last not in (list(CLOSING), list(CLOSING[:3])) or book.headings[-len(last) :] != last:
        return [f"the closing headings are {last}"]
    return []


def empty_answer(book: Book) -> list[str]:
    """Your turn has a cell to fill in, and a check that says so while it is empty."""
    cells = section(book, "Your turn")
    wrong = []
    if not any(
        cell.kind == "code" and re.search(r"^answer\b.*= \.\.\.", cell.text, re.MULTILINE) for cell in cells
    ):
        wrong.append("no cell with answer = ...")
    if not any("Not answered yet" in shown for cell in cells for shown in output_texts(cell)):
        wrong.append("no check that shows 'Not answered yet'")
    return wrong


def boxes(book: Book) -> list[str]:
    """After the recap: what is different on AWS, and two to four links to official documentation."""
    recap = "\n".join(cell.text for cell in section(book, "Recap") if cell.kind == "markdown")
    read_on = recap.partition("**Read on**")[2].partition("Next:")[0]
    links = re.findall(r"\]\(https://", read_on)
    wrong = [] if "**On AWS**" in recap else ["no box **On AWS** after the recap"]
    return wrong if len(links) in DOCUMENTATION else [*wrong, f"**Read on** has {len(links)} links"]


def solution_asserts(book: Book) -> list[str]:
    """The solution is executed code that checks its own value."""
    code = "\n".join(cell.text for cell in section(book, "Solution") if cell.kind == "code")
    return [] if re.search(r"^\s*assert\b", code, flags=re.MULTILINE) else ["no assert in the solution"]


def next_link(book: Book) -> list[str]:
    """The recap leads to the next lesson; the last one leads nowhere."""
    if book.number + 1 >= len(SERIES):
        return []
    recap = book.prose.partition("## Recap")[2]
    wanted = f"{SERIES[book.number + 1]}.ipynb"
    return [] if f"]({wanted})" in recap else [f"no link to {wanted} in the recap"]


def executed(book: Book) -> list[str]:
    """Executed once, from top to bottom."""
    counts = [cell.count for cell in book.code]
    return [] if counts == list(range(1, len(counts) + 1)) else [f"execution counts are {counts}"]


def clean_outputs(book: Book) -> list[str]:
    """No stderr, no error but an expected one."""
    wrong = []
    for cell in book.code:
        for output in cell.outputs:
            expected = "raises-exception" in cell.metadata.get("tags", [])
            if output.get("name") == "stderr" or (output["output_type"] == "error" and not expected):
                wrong.append(f"cell {cell.count} shows stderr or an error")
    return wrong


def short_code(book: Book) -> list[str]:
    """No code cell over 15 lines, half of them at most 10."""
    lengths = [len(cell.text.strip().splitlines()) for cell in book.code]
    wrong = [f"a code cell has {length} lines" for length in lengths if length > LONGEST_CELL]
    if lengths and median(lengths) > USUAL_CELL:
        wrong.append(f"half of the code cells have more than {median(lengths):g} lines")
    return wrong


def plain_code(book: Book) -> list[str]:
    """At most three lambdas, and at most every fifth code cell without an output, the first one aside."""
    lambdas = sum(len(re.findall(r"\blambda\b", cell.text)) for cell in book.code)
    silent = [cell for cell in book.code[1:] if not cell.outputs and "answer = ..." not in cell.text]
    wrong = [] if lambdas <= MOST_LAMBDAS else [f"{lambdas} lambdas"]
    if len(silent) * SILENT_SHARE > len(book.code):
        wrong.append(f"{len(silent)} of {len(book.code)} code cells show nothing")
    return wrong


def rhythm(book: Book) -> list[str]:
    """15 to 40 cells, never three code cells in a row."""
    wrong = [] if len(book.cells) in CELLS else [f"{len(book.cells)} cells"]
    if "ccc" in "".join(cell.kind[0] for cell in book.cells):
        wrong.append("three code cells in a row")
    return wrong


def more_text_than_code(book: Book) -> list[str]:
    """At least as many words of text as of code, both split at blanks."""
    words, code = len(book.prose.split()), sum(len(cell.text.split()) for cell in book.code)
    return [] if words >= code else [f"{words} words of text for {code} of code"]


def code_without(book: Book) -> list[str]:
    """Nothing in the code that needs a person, hides an output or differs between the worlds."""
    wrong = [
        f"{name} in code cell {cell.count}"
        for cell in book.code
        for name, pattern in UNWANTED_CODE.items()
        if re.search(pattern, cell.text)
    ]
    for cell in book.code:
        if re.search(r"^\s*[%!]", cell.text, flags=re.MULTILINE):
            wrong.append(f"a magic or shell command in code cell {cell.count}")
        if ends_in_semicolon(cell.text):
            wrong.append(f"a trailing ; in code cell {cell.count}")
        wrong += [f"{name} in code cell {cell.count}" for name in own_classes() if name in cell.text]
    return wrong


def ends_in_semicolon(source: str) -> bool:
    """True when a line of code, not of a string, ends in a semicolon."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        return source.rstrip().endswith(";")
    after = {tokenize.NEWLINE, tokenize.COMMENT}
    return any(one.string == ";" and next_.type in after for one, next_ in pairwise(tokens))


@functools.cache
def own_classes() -> frozenset[str]:
    """Package-qualified names of the Java classes of this project."""
    names = set()
    for file in (ROOT / "local_cloud").rglob("*.java"):
        package = re.search(r"^package ([\w.]+);", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if package:
            names.add(f"{package[1]}.{file.stem}")
    return frozenset(names)


def no_literals(book: Book) -> list[str]:
    """No host, port, account, key or bucket is written in a cell."""
    wrong = []
    for cell in book.code:
        for text in strings(cell):
            rest = functools.reduce(lambda rest, allowed: rest.replace(allowed, ""), ALLOWED_ADDRESSES, text)
            wrong += [
                f"{name} in code cell {cell.count}: {text[:40]!r}"
                for name, pattern in LITERALS.items()
                if re.search(pattern, rest)
            ]
    return wrong


def links(book: Book) -> list[str]:
    """Links resolve, a lesson still to be written included; pictures are SVG in images/ with alt text."""
    wrong = [] if "```mermaid" not in book.prose else ["Mermaid does not draw in notebooks"]
    for picture, words, target in LINK.findall(book.prose):
        file = book.path.parent / unquote(target.split("#")[0])
        if re.match(r"[a-z]+:", target):
            if picture:
                wrong.append(f"hot-linked picture {target}")
        elif target.startswith("#"):
            continue
        elif not file.exists() and file.stem not in SERIES:
            wrong.append(f"broken link {target}")
        if picture and target not in SCREENSHOTS and not re.fullmatch(r"\.\./images/\w+\.svg", target):
            wrong.append(f"{target} is not an SVG in images/")
        if picture and len(words) < 10:
            wrong.append(f"{target} has no alt text")
    return wrong


def size(book: Book) -> list[str]:
    """Under 100 kB, or 150 kB with pictures."""
    whole = len(json.dumps(book.raw, ensure_ascii=False).encode())
    pictures = sum(
        len(content)
        for cell in book.code
        for output in cell.outputs
        for kind, content in output.get("data", {}).items()
        if kind.startswith("image/")
    )
    if whole > ALL_BYTES or whole - pictures > TEXT_BYTES:
        return [f"{whole:,} bytes, of them {pictures:,} pictures"]
    return []


def short_outputs(book: Book) -> list[str]:
    """No output over 40 lines of text or rows of a table."""
    longest = [
        (text.count("<tr") - 1 if "<tr" in text else text.count("\n"), cell.count)
        for cell in book.code
        for text in output_texts(cell)
        if "<tr" in text or "</" not in text
    ]
    return [
        f"an output of code cell {count} has {lines} lines"
        for lines, count in longest
        if lines > LONGEST_OUTPUT
    ]


def stable_outputs(book: Book) -> list[str]:
    """No path, date of today, measured time, id, address or account number in an output."""
    wrong = []
    for cell in book.code:
        for text in output_texts(cell):
            found = [name for name, pattern in VOLATILE.items() if re.search(pattern, text)]
            if set(UUID.findall(text)) - sample_ids():
                found.append("an id")
            wrong += [f"{name} in the output of code cell {cell.count}" for name in found]
    return wrong


def metadata(book: Book) -> list[str]:
    """Metadata that is the same on every machine; every cell has an id of its own."""
    wrong = []
    if set(book.raw["metadata"]) != {"kernelspec", "language_info"} or list(
        book.raw["metadata"].get("language_info", ())
    ) != ["name"]:
        wrong.append("notebook metadata is more or less than kernelspec and language_info.name")
    if any(set(cell.metadata) - {"tags"} for cell in book.cells):
        wrong.append("cell metadata is more than tags")
    ids = [cell.id for cell in book.cells]
    if None in ids or len(set(ids)) < len(ids):
        wrong.append("cell ids are missing or not unique")
    return wrong


RULES: tuple[Callable[[Book], list[str]], ...] = (
    file_name,
    header,
    strip,
    map_image,
    first_code,
    new_words,
    outcomes_are_no_headings,
    anatomy,
    empty_answer,
    boxes,
    solution_asserts,
    next_link,
    executed,
    clean_outputs,
    short_code,
    plain_code,
    rhythm,
    more_text_than_code,
    code_without,
    no_literals,
    links,
    size,
    short_outputs,
    stable_outputs,
    metadata,
)
