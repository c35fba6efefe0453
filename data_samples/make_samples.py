"""Make synthetic posts of the measured shape: `python -m data_samples.make_samples --posts 11154`.

`profile.json` holds the aggregates to resemble, `vocabulary.json` the invented words. Users come first
(posts, joining year, age, country, followers), then the posts that they own, then the dirt. Any number of
posts keeps the shares; the same posts and seed give the same bytes.
"""

import argparse
import gzip
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd

from data_samples import dirt

Array = npt.NDArray[Any]

HERE = Path(__file__).resolve().parent
PROFILE: dict[str, Any] = json.loads((HERE / "profile.json").read_text())
WORDS: dict[str, Any] = json.loads((HERE / "vocabulary.json").read_text())

NO_TITLE = "No Title Data Available"
NO_STORY = "No description available Story format"
NO_DESCRIPTION = "No description available"
UNTITLED = "Untitled"
NO_USER = "User Info Error"
NO_TAGS = "N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e"
NO_IMAGE = "Image src error."
STORY = "multi-video(story page format)"
NO_DATA = {
    "title": [NO_TITLE],
    "description": [NO_STORY, NO_DESCRIPTION, UNTITLED],
    "poster_name": [NO_USER],
    "follower_count": [NO_USER],
    "tag_list": [NO_TAGS],
    "image_src": [NO_IMAGE],
}

# The profile's `dirt_877` split into kinds of post that add up to it: what fails in a scrape fails together.
DIRTY_POSTS = {
    "scrape failed": 10,  # title, description, poster, followers, tags and image
    "story without image": 13,
    "story": 42,
    "no description": 15,
    "untitled": 1,
    "no tags": 4,
}
PROFILED_POSTS = 877
SEED = 2022
OLD_APP_OFFSET = 11_560  # of the old app's records: after the posts and the second day

NEW_POSTS, CORRECTIONS = 346, 60  # of the second day

MERGED_USERS = 226 / 5307  # share of users who bear the name of another user
AGE_BY_JOINING = 0.78  # pull of the joining year on age, set to meet the profile's correlation
EARLY_BY_POSTS = 1.05  # pull of the number of posts towards joining early, set to meet rows per joining year
COUNTRY_HEAVY_USERS = 600  # users placed one by one, heaviest first, before the others fill the countries up
EXTREME_FOLLOWERS = 5.0  # the most followed user of a group against its 90th percentile
TEXTS = 250  # different titles and descriptions a noun, and tag lists a noun of the category
WITH_EXTRA = 0.06  # share of texts with an emoji, quote, backslash, line break or accent
KINDS = {"image": 0.85, "video": 0.13, STORY: 0.02}  # of posts that are no story; not in the profile


def make(posts: int, seed: int) -> dict[str, pd.DataFrame]:
    """The three source tables `pin`, `geo` and `user`, `posts` rows each, in key order, dirt included."""
    return make_with_flags(posts, seed)[0]


def make_with_flags(posts: int, seed: int) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """The tables, and what of them is injected: `table, column, ind, kind`, a row a field."""
    tables = make_measured(posts, seed)
    return tables, dirt.inject(tables, NO_DATA, np.random.default_rng([seed, 1]))


def make_measured(posts: int, seed: int) -> dict[str, pd.DataFrame]:
    """The tables with the measured shape and its own dirt alone."""
    if posts < 1:
        raise ValueError(f"posts is {posts}: at least 1")
    rng = np.random.default_rng(seed)
    users = make_users(posts_per_user(posts), rng)
    owner = rng.permutation(np.repeat(np.arange(len(users)), users["posts"]))
    stamps = timestamps(posts, rng)
    # Nobody posts before joining: the few who would, join a second before their first post.
    first_post = np.full(len(users), np.datetime64("9999-01-01", "s"))
    np.minimum.at(first_post, owner, stamps)
    users["date_joined"] = np.minimum(users["date_joined"].to_numpy(), first_post - np.timedelta64(1, "s"))
    owners = users.iloc[owner].reset_index(drop=True)
    ind = np.arange(posts)
    places = owners[["latitude", "longitude", "country"]]
    people = owners[["first_name", "last_name", "age", "date_joined"]]
    return {
        "pin": make_pins(owners, rng),
        "geo": pd.DataFrame({"ind": ind, "timestamp": stamps, **places}),
        "user": pd.DataFrame({"ind": ind, **people}),
    }


def make_second_day(tables: dict[str, pd.DataFrame], seed: int) -> dict[str, pd.DataFrame]:
    """What came the day after: NEW_POSTS posts by new users, then CORRECTIONS of old posts of `tables`.

    A correction has the key of its post and other values: more followers, another country, a year more.
    """
    rng = np.random.default_rng([seed, 2])
    new, first = make_measured(NEW_POSTS, seed + 1), len(tables["pin"])
    for table, key in (("pin", "index"), ("geo", "ind"), ("user", "ind")):
        new[table][key] += first
    day = np.datetime64(PROFILE["timestamp"][1][:10]) + 1
    seconds = rng.choice(24 * 3600, NEW_POSTS, replace=False)
    new["geo"]["timestamp"] = day.astype("datetime64[s]") + np.sort(seconds)
    single = tables["user"].groupby(dirt.PEOPLE)["ind"].transform("size") == 1
    sound = single & tables["pin"]["follower_count"].str.fullmatch(r"\d+[kM]")
    chosen = np.sort(rng.permutation(np.flatnonzero(sound))[:CORRECTIONS])
    old = {table: frame.iloc[chosen].copy() for table, frame in tables.items()}
    old["pin"]["follower_count"] = [f"{dirt.exact(text, 0) * 2:,}" for text in old["pin"]["follower_count"]]
    old["pin"]["description"] = old["pin"]["description"] + " (corrected)"
    old["geo"]["country"] = np.roll(old["geo"]["country"], 1)
    old["user"]["age"] = old["user"]["age"] + 1
    return {table: pd.concat([new[table], old[table]], ignore_index=True) for table in tables}


def share_out(weights: dict[str, int], total: int) -> Array:
    """Whole numbers in proportion to `weights` that add up to `total` (largest remainders)."""
    exact = np.array(list(weights.values())) * total / sum(weights.values())
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    return counts


def posts_per_user(posts: int) -> Array:
    """How many posts each user has, ascending, adding up to `posts`: the profile's histogram at any size."""
    histogram = {int(count): users for count, users in PROFILE["posts_per_user"].items()}
    measured = np.repeat(list(histogram), list(histogram.values()))
    users = max(1, round(posts * len(measured) / PROFILE["rows"]))
    counts = measured[((np.arange(users) + 0.5) / users * len(measured)).astype(int)]
    counts = np.concatenate([np.ones(max(0, posts - counts.sum()), dtype=int), counts])
    counts = np.minimum(counts, np.maximum(0, posts - (np.cumsum(counts) - counts)))
    return counts[counts > 0]


def make_users(counts: Array, rng: np.random.Generator) -> pd.DataFrame:
    """One row a user who has `counts` posts: name, age, joining, place, poster and followers."""
    users, posts = len(counts), int(counts.sum())
    years = np.array([int(year) for year in PROFILE["join_year_users"]])
    early = rng.gumbel(size=users) + EARLY_BY_POSTS * np.log(counts)
    joined = np.empty(users, dtype=int)
    joined[np.argsort(-early)] = np.repeat(years, share_out(PROFILE["join_year_users"], users))

    young_first = np.argsort(AGE_BY_JOINING * (joined - years[0]) + rng.normal(size=users))
    middle = np.empty(users)
    middle[young_first] = np.cumsum(counts[young_first]) - counts[young_first] / 2
    ages = np.array([int(age) for age in PROFILE["age_hist"]])
    age = ages[np.searchsorted(np.cumsum(share_out(PROFILE["age_hist"], posts)), middle)]

    first, last = names(users, rng)
    return pd.DataFrame(
        {
            "posts": counts,
            "first_name": first,
            "last_name": last,
            "age": age,
            "date_joined": moments(joined, PROFILE["date_joined"], rng),
            "country": countries(counts, rng),
            # As in the course data a place has nothing to do with the country's whereabouts.
            "latitude": rng.uniform(-90, 90, users).round(4),
            "longitude": rng.uniform(-180, 180, users).round(4),
            "poster_name": poster_names(users, rng),
            "follower_count": follower_texts(followers(counts, age, joined, rng)),
        }
    )


def year_bounds(year: int, limits: list[str]) -> tuple[np.datetime64, np.datetime64]:
    """The first second of a year and the second after its last one, within `limits` (both included)."""
    low, high = (np.datetime64(limit, "s") for limit in limits)
    start, end = (np.datetime64(f"{number}-01-01", "s") for number in (year, year + 1))
    return max(low, start), min(high + 1, end)


def moments(years: Array, limits: list[str], rng: np.random.Generator) -> Array:
    """A random second in each of the `years`."""
    drawn = np.empty(len(years), dtype="datetime64[s]")
    for year in np.unique(years):
        start, end = year_bounds(int(year), limits)
        mine = years == year
        drawn[mine] = start + rng.integers((end - start).astype(int), size=mine.sum())
    return drawn


def timestamps(posts: int, rng: np.random.Generator) -> Array:
    """`posts` different seconds, as many in each year as the profile says, in random order."""
    drawn = []
    years = PROFILE["post_year_rows"]
    for year, count in zip(years, share_out(years, posts), strict=True):
        start, end = year_bounds(int(year), PROFILE["timestamp"])
        # Sorted draws, each moved on by its rank, can never be equal.
        room = (end - start).astype(int) - count + 1
        drawn.append(start + np.sort(rng.integers(room, size=count)) + np.arange(count))
    return rng.permutation(np.concatenate(drawn))


def countries(counts: Array, rng: np.random.Generator) -> Array:
    """A country for each user, so that the posts of the countries add up to the profile's shares."""
    room = share_out(PROFILE["country_counts"], int(counts.sum())).astype(float)
    chosen = np.empty(len(counts), dtype=int)
    heavy = np.argsort(-counts, kind="stable")[:COUNTRY_HEAVY_USERS]
    for user in heavy:
        chance = np.where(room >= counts[user], room, 0)
        chance = chance if chance.any() else np.maximum(room, 0)
        chosen[user] = rng.choice(len(room), p=chance / chance.sum())
        room[chosen[user]] -= counts[user]
    rest = rng.permutation(np.setdiff1d(np.arange(len(counts)), heavy))
    ends = np.cumsum(np.maximum(room, 0))
    middle = np.cumsum(counts[rest]) - counts[rest] / 2
    chosen[rest] = np.minimum(np.searchsorted(ends, middle), len(room) - 1)
    return np.array(list(PROFILE["country_counts"]), dtype=object)[chosen]


def names(users: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """First and last names; a share of the users bears the name of another one."""
    first, last = (
        list(dict.fromkeys(a + b for a in WORDS[f"{kind}_name_starts"] for b in WORDS[f"{kind}_name_ends"]))
        for kind in ("first", "last")
    )
    different = users - round(users * MERGED_USERS)
    code = np.resize(rng.permutation(len(first) * len(last)), different)
    code = rng.permutation(np.concatenate([code, rng.choice(code, users - different, replace=False)]))
    return np.array(first, dtype=object)[code // len(last)], np.array(last, dtype=object)[code % len(last)]


def poster_names(users: int, rng: np.random.Generator) -> list[str]:
    """A different invented account name for each user; a number follows when the words run out."""
    starts, middles, ends = (WORDS[f"poster_{part}"] for part in ("starts", "middles", "ends"))
    every = [f"{start} {middle}{end}" for start in starts for middle in middles for end in ends]
    order = rng.permutation(len(every))
    rounds = range(users // len(every) + 1)
    return [every[at] + (f" {turn + 1}" if turn else "") for turn in rounds for at in order][:users]


def followers(counts: Array, age: Array, joined: Array, rng: np.random.Generator) -> Array:
    """Followers per user, fitted by turns to the quantiles over posts by age group and by joining year."""
    groups = np.array(["18-24", "25-35", "36-50", "50+"])[np.searchsorted([25, 36, 51], age, side="right")]
    by_age, by_year = PROFILE["follower_quantiles_by_age"], PROFILE["follower_quantiles_by_joinyear"]
    marginals = [(groups, by_age), (joined.astype(str), by_year)]
    level = rng.normal(size=len(age))
    for labels, quantiles in marginals:
        level += np.array([np.log1p(quantiles[label][2]) for label in labels]) / 4
    for labels, quantiles in marginals * 4:
        for label, measured in quantiles.items():
            mine = np.flatnonzero(labels == label)
            mine = mine[np.argsort(level[mine])]
            below = np.cumsum(counts[mine]) - counts[mine] / 2
            rank = below / max(1, counts[mine].sum())
            values = np.log1p([0, *measured, measured[-1] * EXTREME_FOLLOWERS])
            level[mine] = np.interp(rank, [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1], values)
    return np.expm1(level).round().astype(int)


def follower_texts(counts: Array) -> list[str]:
    """Counts as the site shows them: 999, 10k, 2M."""
    return [
        str(count) if count < 1000 else f"{count / 1e3:.0f}k" if count < 999_500 else f"{count / 1e6:.0f}M"
        for count in counts.tolist()
    ]


def make_pins(owners: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The pin table of posts whose owners stand in `owners`, one row a post, dirt included."""
    posts = len(owners)
    starts = np.array(list(PROFILE["category_first_index"].values())) * posts / PROFILE["rows"]
    code = np.searchsorted(starts.round(), np.arange(posts), side="right") - 1
    category = np.array(list(WORDS["categories"]), dtype=object)[code]
    titles, descriptions, tags = texts(rng)
    noun = rng.integers(titles.shape[1], size=posts)  # of title and description alike
    kind = rng.choice(np.array(list(KINDS), dtype=object), posts, p=list(KINDS.values()))
    pins = pd.DataFrame(
        {
            "index": np.arange(posts),
            "unique_id": [f"{x[:8]}-{x[8:12]}-4{x[13:16]}-a{x[17:20]}-{x[20:]}" for x in hexes(posts, rng)],
            "title": titles[code, noun, rng.integers(TEXTS, size=posts)],
            "description": descriptions[code, noun, rng.integers(TEXTS, size=posts)],
            "poster_name": owners["poster_name"],
            "follower_count": owners["follower_count"],
            "tag_list": tags[code, noun, rng.integers(TEXTS, size=posts)],
            "is_image_or_video": kind,
            "image_src": [
                f"https://i.pinimg.example/originals/{x[:2]}/{x[2:4]}/{x[4:6]}/{x}.jpg"
                for x in hexes(posts, rng)
            ],
            "downloaded": 1,
            "save_location": "Local save in /data/" + category,
            "category": category,
        }
    )
    return soil(pins, rng)


def texts(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Titles, descriptions and tag lists to draw from, each an array of categories x nouns x TEXTS."""
    drawn: list[list[str]] = [[], [], []]
    calm = [adjective.lower() for adjective in WORDS["adjectives"]]
    for words in WORDS["categories"].values():
        for noun in words["nouns"]:
            titles = sentences(WORDS["title_templates"], [""], noun, WORDS["adjectives"], rng)
            openings, endings = WORDS["description_openings"], WORDS["description_endings"]
            descriptions = sentences(openings, endings, noun, calm, rng)
            order = rng.random((TEXTS, len(words["tags"]))).argsort(axis=1).tolist()
            shown = [row[:length] for row, length in zip(order, rng.integers(3, 9, TEXTS), strict=True)]
            drawn[0] += with_extras(titles, WORDS["title_extras"], rng)
            drawn[1] += with_extras(descriptions, WORDS["description_extras"], rng)
            drawn[2] += [",".join(words["tags"][at] for at in row) for row in shown]
    shape = (len(WORDS["categories"]), -1, TEXTS)
    one, two, three = (np.array(table, dtype=object).reshape(shape) for table in drawn)
    return one, two, three


def sentences(
    openings: list[str], endings: list[str], noun: str, adjectives: list[str], rng: np.random.Generator
) -> list[str]:
    """TEXTS random texts about a noun: an opening and an ending, their gaps filled in."""
    parts = [
        draw(values, rng) for values in (openings, endings, adjectives, WORDS["numbers"], WORDS["years"])
    ]
    return [
        f"{opening} {ending}".rstrip().format(noun=noun, adjective=adjective, number=number, year=year)
        for opening, ending, adjective, number, year in zip(*parts, strict=True)
    ]


def with_extras(plain: list[str], extras: list[str], rng: np.random.Generator) -> list[str]:
    """The same texts, now and then with an emoji, quote, backslash, line break or accent behind."""
    marked = rng.random(len(plain)) < WITH_EXTRA
    return [
        text + extra * bool(mark) for text, extra, mark in zip(plain, draw(extras, rng), marked, strict=True)
    ]


def draw(values: list[str], rng: np.random.Generator) -> list[str]:
    """TEXTS random values, repeats allowed."""
    return [values[at] for at in rng.integers(len(values), size=TEXTS).tolist()]


def hexes(count: int, rng: np.random.Generator) -> list[str]:
    """`count` random texts of 32 hexadecimal digits."""
    digits = rng.bytes(16 * count).hex()
    return [digits[at : at + 32] for at in range(0, len(digits), 32)]


def soil(pins: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The same pins with the measured share of "no data" texts, in the measured company."""
    weights = {**DIRTY_POSTS, "clean": PROFILED_POSTS - sum(DIRTY_POSTS.values())}
    fate = rng.permutation(np.repeat(list(weights), share_out(weights, len(pins))))
    failed, story = fate == "scrape failed", np.isin(fate, ["scrape failed", "story without image", "story"])
    pins.loc[story, ["description", "is_image_or_video"]] = [NO_STORY, STORY]
    pins.loc[failed, ["title", "poster_name", "follower_count"]] = [NO_TITLE, NO_USER, NO_USER]
    pins.loc[failed | (fate == "no tags"), "tag_list"] = NO_TAGS
    pins.loc[failed | (fate == "story without image"), "image_src"] = NO_IMAGE
    pins.loc[fate == "no description", "description"] = NO_DESCRIPTION
    pins.loc[fate == "untitled", "description"] = UNTITLED
    return pins


def lines(frame: pd.DataFrame, first_offset: int) -> bytes:
    """One compact JSON document a line, as the S3 sink writes them: ISO 8601 times and `_offset`."""
    columns = [
        np.datetime_as_string(column.to_numpy().astype("datetime64[s]")).tolist()
        if column.dtype.kind == "M"
        else column.tolist()
        for _, column in frame.items()
    ]
    keys = [*frame.columns, "_offset"]
    offsets = range(first_offset, first_offset + len(frame))
    return b"".join(
        orjson.dumps(dict(zip(keys, row, strict=True)), option=orjson.OPT_APPEND_NEWLINE)
        for row in zip(*columns, offsets, strict=True)
    )


def write_topics(
    tables: dict[str, pd.DataFrame],
    folder: Path | str,
    *,
    per_file: int = 5577,
    plain: bool = False,
    offset: int = 0,
) -> list[Path]:
    """Write the tables in the S3 sink's layout, `per_file` records a file, and return the paths.

    The records get offsets from `offset` on.

    Files of an earlier run go; those of one run are equal byte for byte to the next one's.
    """
    written = []
    for table, frame in tables.items():
        partition = Path(folder) / table / "partition=0"
        partition.mkdir(parents=True, exist_ok=True)
        for old in partition.glob(f"{table}+0+*.json*"):
            old.unlink()
        for first in range(0, len(frame), per_file):
            data = lines(frame.iloc[first : first + per_file], offset + first)
            path = partition / f"{table}+0+{offset + first:010d}.json{'' if plain else '.gz'}"
            path.write_bytes(data if plain else gzip.compress(data, compresslevel=6, mtime=0))
            written.append(path)
    return written


def main() -> None:
    """Read the command line, make the tables, write them, say how many and how long it took."""
    parser = argparse.ArgumentParser(description="Make synthetic posts of the measured shape.")
    parser.add_argument("--posts", type=int, default=PROFILE["rows"])
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=HERE / "topics")
    parser.add_argument("--second-day", type=Path, help="folder for what came the day after")
    parser.add_argument("--per-file", type=int, default=5577, help="records a file")
    parser.add_argument("--plain", action="store_true", help="write .json instead of .json.gz")
    given = parser.parse_args()
    started = time.perf_counter()
    tables = make(given.posts, given.seed)
    made = time.perf_counter() - started
    files = write_topics(tables, given.out, per_file=given.per_file, plain=given.plain)
    if given.second_day:
        day = make_second_day(tables, given.seed)
        files += write_topics(day, given.second_day, plain=given.plain, offset=given.posts)
    size = sum(path.stat().st_size for path in files) / 1e6
    print(f"{given.posts:,} posts a table: made in {made:.1f} s, {len(files)} files, {size:.1f} MB,", end=" ")
    print(f"{time.perf_counter() - started:.1f} s in all")


if __name__ == "__main__":
    main()
