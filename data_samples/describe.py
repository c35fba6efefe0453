"""Measure the samples beside the profile: `python -m data_samples.describe` writes README.md's tables."""

import gzip
import json
from pathlib import Path

import pandas as pd

from data_samples import make_samples as samples

TOPICS = Path(__file__).resolve().parent / "topics"
README = TOPICS.with_name("README.md")
PROFILE = samples.PROFILE
USER = ["first_name", "last_name", "age", "date_joined"]
QUANTILES = [0.1, 0.25, 0.5, 0.75, 0.9]
UNITS = {"k": 1_000, "m": 1_000_000, "b": 1_000_000_000}


def read_topics(folder: Path | str = TOPICS) -> dict[str, pd.DataFrame]:
    """The tables `pin`, `geo` and `user` as the files hold them, times as timestamps, `_offset` included."""
    tables = {}
    for table in ("pin", "geo", "user"):
        files = sorted(Path(folder, table, "partition=0").glob("*.json*"))
        files = [file for file in files if f"+{samples.OLD_APP_OFFSET:010d}." not in file.name]  # no posts
        texts = [gzip.decompress(f.read_bytes()) if f.suffix == ".gz" else f.read_bytes() for f in files]
        frame = pd.DataFrame([json.loads(line) for text in texts for line in text.splitlines()])
        times = [column for column in ("timestamp", "date_joined") if column in frame]
        tables[table] = frame.assign(**{column: pd.to_datetime(frame[column]) for column in times})
    return tables


def posts_of(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a post, its three records side by side, with `joined` (year), `followers` and `age_group`."""
    pin, geo, user = (
        tables[table].drop(columns="_offset", errors="ignore") for table in ("pin", "geo", "user")
    )
    every = pin.merge(geo, left_on="index", right_on="ind").merge(user, on="ind")
    return every.assign(
        country=every["country"].str.strip(),
        joined=every["date_joined"].dt.year,
        followers=every["follower_count"].map(followers),
        age_group=pd.cut(
            pd.to_numeric(every["age"]), [0, 24, 35, 50, 200], labels=["18-24", "25-35", "36-50", "50+"]
        ).astype(str),
    )


def followers(text: str) -> float:
    """The number behind `123`, `10k`, `2.5 m` or `18,412`; not a number for the sentinel."""
    if _bare(text) == _bare(samples.NO_USER):
        return float("nan")
    number = "".join(text.replace(",", "").split()).lower()  # split: at every kind of blank
    return float(number.rstrip("kmb")) * UNITS.get(number[-1], 1)


def _bare(text: str) -> str:
    return text.strip().lower().removesuffix(".")


WORDS = {  # the profile's name of a kind, and the text that the source writes
    "description Story": samples.NO_STORY,
    "description None": samples.NO_DESCRIPTION,
    "description Untitled": samples.UNTITLED,
    "title": samples.NO_TITLE,
    "poster_name": samples.NO_USER,
    "follower_count": samples.NO_USER,
    "tag_list": samples.NO_TAGS,
    "image_src": samples.NO_IMAGE,
}


def dirt(pins: pd.DataFrame) -> dict[str, int]:
    """Posts with each kind of dirt, under the names that the profile's `dirt_877` uses."""
    found = {kind: pins[kind.split()[0]].map(_bare) == _bare(text) for kind, text in WORDS.items()}
    return {kind: int(mask.sum()) for kind, mask in {**found, "any": pd.DataFrame(found).any(axis=1)}.items()}


def dirt_table(pins: pd.DataFrame) -> str:
    """Every kind of dirt: the column, the text, posts, their share, the profile's share; as Markdown."""
    rows = [
        "| column | text that means no data | posts | share | profile |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for kind, count in dirt(pins).items():
        measured = PROFILE["dirt_877"][kind] / samples.PROFILED_POSTS
        text = f"`{WORDS[kind]}`" if kind in WORDS else "a post with any of them"
        rows.append(f"| {kind.split()[0]} | {text} | {count:,} | {count / len(pins):.2%} | {measured:.2%} |")
    return "\n".join(rows)


def injected_table(flags: pd.DataFrame) -> str:
    """What is injected on top: table, column, kind, posts; as Markdown."""
    counts = flags.groupby(["table", "column", "kind"]).size()
    rows = [f"| `{table}` | {column} | {kind} | {count} |" for (table, column, kind), count in counts.items()]
    return "\n".join(["| table | column | injected | posts |", "| --- | --- | --- | ---: |", *rows])


def shape_table(tables: dict[str, pd.DataFrame]) -> str:
    """The figures that make the answers what they are, beside the profile's; as Markdown."""
    posts = posts_of(tables)
    users = posts.drop_duplicates(USER)
    names = users.drop_duplicates(["first_name", "last_name"])
    median = {by: posts.groupby(by)["followers"].median() for by in ("age_group", "joined")}
    figures = [
        ("posts a table", len(posts), PROFILE["rows"]),
        ("users: different (first_name, last_name, age, date_joined)", len(users), PROFILE["distinct_users"]),
        ("different names; the other users share theirs", len(names), None),
        ("countries", posts["country"].nunique(), PROFILE["countries"]),
        ("posts of the user with most posts", int(posts.groupby(USER).size().max()), 244),
    ]
    for year, count in PROFILE["join_year_users"].items():
        figures.append((f"users who joined in {year}", int((users["joined"] == int(year)).sum()), count))
    for year, count in PROFILE["join_year_rows"].items():
        figures.append(
            (f"posts of users who joined in {year}", int((posts["joined"] == int(year)).sum()), count)
        )
    for year, count in PROFILE["post_year_rows"].items():
        figures.append((f"posts in {year}", int((posts["timestamp"].dt.year == int(year)).sum()), count))
    for group, quantiles in PROFILE["follower_quantiles_by_age"].items():
        figures.append(
            (f"median followers over posts, {group}", int(median["age_group"][group]), int(quantiles[2]))
        )
    for year, quantiles in PROFILE["follower_quantiles_by_joinyear"].items():
        label = f"median followers over posts, joined in {year}"
        figures.append((label, int(median["joined"][int(year)]), int(quantiles[2])))
    rows = ["| figure | samples | profile |", "| --- | ---: | ---: |"]
    rows += [
        f"| {label} | {ours:,} | {'' if theirs is None else f'{theirs:,}'} |"
        for label, ours, theirs in figures
    ]
    ours, theirs = pd.to_numeric(posts["age"]).corr(posts["joined"]), PROFILE["corr_age_joinyear"]
    return "\n".join(
        [*rows, f"| correlation of age and joining year over posts | {ours:.2f} | {theirs:.2f} |"]
    )


def main() -> None:
    """Put the tables of the committed samples in the place of README.md's old ones."""
    tables = read_topics()
    flags = samples.make_with_flags(PROFILE["rows"], samples.SEED)[1]
    text = README.read_text(encoding="utf-8")
    for new in (dirt_table(tables["pin"]), injected_table(flags), shape_table(tables)):
        head = new.split("\n")[0]
        old = head + text.split(head)[1].split("\n\n")[0]
        text = text.replace(old, new)
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
