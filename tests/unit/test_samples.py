"""The samples have the measured shape, are reproducible, and their README tells the truth."""

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_samples import describe, dirt, make_hard_cases, make_samples
from helpers import schema, source

FOLDER = Path(make_samples.__file__).parent
PROFILE = make_samples.PROFILE
POSTS = PROFILE["rows"]
TABLES = ("pin", "geo", "user")


@pytest.fixture(scope="module")
def made() -> dict[str, pd.DataFrame]:
    """The measured shape, before anything is injected: what is injected has tests of its own."""
    return make_samples.make_measured(POSTS, make_samples.SEED)


@pytest.fixture(scope="module")
def injected() -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    return make_samples.make_with_flags(POSTS, make_samples.SEED)


@pytest.fixture(scope="module")
def posts(made) -> pd.DataFrame:
    return describe.posts_of(made)


@pytest.fixture(scope="module")
def users(posts) -> pd.DataFrame:
    return posts.drop_duplicates(describe.USER)


@pytest.mark.parametrize("folder", ["topics", "second_day"])
def test_the_committed_files_are_what_the_program_writes(injected, tmp_path, folder):
    tables, committed = injected[0], FOLDER / folder
    if folder == "second_day":
        day = make_samples.make_second_day(tables, make_samples.SEED)
        written = make_samples.write_topics(day, tmp_path, offset=POSTS)
    else:
        written = make_samples.write_topics(tables, tmp_path)
    old_app = [make_hard_cases.old_app_file(table) for table in TABLES]
    frozen = sorted(path.relative_to(committed) for path in committed.rglob("*.gz") if path not in old_app)
    assert sorted(path.relative_to(tmp_path) for path in written) == frozen
    for path in frozen:
        ours, theirs = (gzip.decompress((each / path).read_bytes()) for each in (tmp_path, committed))
        assert ours == theirs, path


def test_only_flagged_fields_differ_from_the_measured_shape(made, injected):
    tables, flags = injected
    found = {
        (table, column, int(ind))
        for table, frame in tables.items()
        for column in frame
        for ind in np.flatnonzero((frame[column] != made[table][column]).to_numpy())
    }
    assert found == set(flags[["table", "column", "ind"]].itertuples(index=False, name=None))
    assert not flags.duplicated(["table", "column", "ind"]).any()


def test_each_kind_of_dirt_is_injected_as_often_as_it_says(injected):
    tables, flags = injected
    counts = flags.groupby(["kind", "table", "column"]).size()
    for kind, table, column, posts, _ in dirt.KINDS:
        assert counts[kind, table, column] == posts
    followers = tables["pin"].loc[flags.loc[flags["column"] == "follower_count", "ind"], "follower_count"]
    for shape in (
        r"\d+\.\d[kM]",
        r"\d{1,3},\d{3}(,\d{3})?",
        "\\d+\u202f\\d+.*",
        r"\d+K",
        r"\d+m",
        r"\d+\sk",
        r"\d\.\dB",
    ):
        assert followers.str.fullmatch(shape).any(), shape
    texts = "".join(tables["pin"]["title"] + tables["pin"]["description"] + tables["geo"]["country"])
    assert all(each in texts for each in '"\n\u00a0\u202f\u2028\u200f🎨م')
    ages = tables["user"]["age"]
    assert ages.isna().sum() == 45 and (ages.dropna() < 18).sum() == 25


def test_some_users_show_different_counts_and_keep_one_name(injected):
    tables, flags = injected
    posts = describe.posts_of(tables)
    users = posts[posts["ind"].isin(flags.loc[flags["kind"] == dirt.GROWN, "ind"])][describe.USER]
    told = posts.merge(users.drop_duplicates()).groupby(describe.USER)["followers"].nunique()
    assert len(told) == dirt.GROWN_USERS and (told > 1).all()


def test_the_second_day_has_new_posts_and_corrections_of_old_ones(injected):
    tables, day = injected[0], describe.read_topics(FOLDER / "second_day")
    for table, frame in day.items():
        key = schema.KEY[table]
        assert frame["_offset"].tolist() == list(range(POSTS, POSTS + 406))
        assert frame[key].tolist()[:346] == list(range(POSTS, POSTS + 346))
        old = tables[table].set_index(key)
        corrected = frame.iloc[346:].set_index(key).drop(columns="_offset")
        assert corrected.index.is_unique and set(corrected.index) <= set(old.index)
        assert (corrected != old.loc[corrected.index]).any(axis=1).sum() > 50
    new = day["geo"].iloc[:346]
    assert new["timestamp"].min() > tables["geo"]["timestamp"].max()
    assert (new["timestamp"] >= day["user"].iloc[:346]["date_joined"]).all()


def test_the_old_apps_records_are_the_programs():
    for table in TABLES:
        assert make_hard_cases.old_app(table) == make_hard_cases.make_old_app(table)
        assert len(make_hard_cases.old_app(table)) == 8
        assert source.old_app(table) == make_hard_cases.old_app(table)


def test_the_committed_files_follow_the_sinks_layout():
    for table in TABLES:
        *files, last = sorted((FOLDER / "topics" / table / "partition=0").iterdir())
        assert last == make_hard_cases.old_app_file(table)
        assert [file.name for file in files] == [f"{table}+0+{first:010d}.json.gz" for first in (0, 5577)]
        lines = [line for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
        records = [json.loads(line) for line in lines]
        columns = [*schema.COLUMNS[table].split(), "_offset"]
        assert all(list(record) == columns for record in records)
        assert [record["_offset"] for record in records] == list(range(POSTS))
        assert lines[0] == json.dumps(records[0], ensure_ascii=False, separators=(",", ":")).encode()
    assert sum(path.stat().st_size for path in (FOLDER / "topics").rglob("*.gz")) < 3_000_000


def test_same_posts_and_seed_give_the_same_bytes_and_another_seed_others(tmp_path):
    def digest(name: str, seed: int, **how: bool) -> dict[str, bytes]:
        paths = make_samples.write_topics(make_samples.make(300, seed), tmp_path / name, per_file=100, **how)
        return {path.name: path.read_bytes() for path in paths}

    first = digest("a", 1)
    assert len(first) == 9
    assert first == digest("b", 1)
    other = digest("b", 2)
    assert all(other[name] != data for name, data in first.items())
    plain = digest("b", 1, plain=True)
    assert {f"{name}.gz": data for name, data in plain.items()} == {
        k: gzip.decompress(v) for k, v in first.items()
    }
    assert len(list((tmp_path / "b").rglob("*.json*"))) == 9


@pytest.mark.parametrize("size", [1, 2, 13, 100, 3_000, 20_000])
def test_any_size_keeps_keys_times_and_users_sound(size):
    made = make_samples.make_measured(size, 5)
    assert all(len(frame) == size for frame in make_samples.make(size, 5).values())
    keys = [made["pin"]["index"], made["geo"]["ind"], made["user"]["ind"]]
    assert all(key.tolist() == list(range(size)) for key in keys)
    posts = describe.posts_of(made)
    assert posts["timestamp"].is_unique
    assert (posts["timestamp"] >= posts["date_joined"]).all()
    assert posts["unique_id"].is_unique
    users = posts.groupby(describe.USER)
    assert len(users) == pytest.approx(size * PROFILE["distinct_users"] / POSTS, rel=0.02, abs=10)
    assert (users[["country", "latitude", "longitude"]].nunique() == 1).all(axis=None)
    assert (
        posts[posts["poster_name"] != make_samples.NO_USER].groupby(describe.USER)["poster_name"].nunique()
        == 1
    ).all()
    assert not made["pin"].isna().any(axis=None)


def test_no_size_below_one():
    with pytest.raises(ValueError, match="at least 1"):
        make_samples.make(0, 1)


def test_rows_users_and_names_are_three_different_numbers(posts, users):
    names = users.drop_duplicates(["first_name", "last_name"])
    assert (len(posts), len(users), len(names)) == (POSTS, 5307, 5307 - 226)


def test_posts_per_user_are_the_profiles_histogram(posts):
    histogram = posts.groupby(describe.USER).size().value_counts()
    assert {str(k): v for k, v in histogram.items()} == PROFILE["posts_per_user"]


@pytest.mark.parametrize(
    ("column", "profile", "most"),
    [("country", "country_counts", 5), ("age", "age_hist", 60), ("joined", "join_year_rows", 60)],
)
def test_posts_are_spread_as_measured(posts, column, profile, most):
    counts = posts[column].astype(str).value_counts()
    assert set(counts.index) == set(PROFILE[profile])
    assert (counts - pd.Series(PROFILE[profile])).abs().max() <= most


def test_years_of_posting_and_joining_are_exact(posts, users):
    years = posts["timestamp"].dt.year.astype(str).value_counts().to_dict()
    assert years == PROFILE["post_year_rows"]
    assert users["joined"].astype(str).value_counts().to_dict() == PROFILE["join_year_users"]
    for column in ("timestamp", "date_joined"):
        low, high = map(pd.Timestamp, PROFILE[column])
        assert low <= posts[column].min() and posts[column].max() <= high


def test_categories_stand_in_blocks(posts):
    first = posts.groupby("category")["index"].min()
    assert first.to_dict() == PROFILE["category_first_index"]
    assert (posts["category"] != posts["category"].shift()).sum() == len(first)


def test_early_joiners_are_younger_and_better_followed(posts):
    assert posts["age"].corr(posts["joined"]) == pytest.approx(PROFILE["corr_age_joinyear"], abs=0.06)
    for column, profile in (("age_group", "by_age"), ("joined", "by_joinyear")):
        for label, measured in PROFILE[f"follower_quantiles_{profile}"].items():
            mine = posts.loc[posts[column].astype(str) == label, "followers"]
            found = mine.quantile(describe.QUANTILES)
            assert np.abs(np.log10(found.to_numpy() / np.array(measured))).max() < 0.15, label


def test_follower_counts_are_written_as_the_site_does(posts):
    assert posts["follower_count"].str.fullmatch(r"\d{1,3}[kM]?|User Info Error").all()


@pytest.mark.parametrize("size", [POSTS, 50_000])
def test_dirt_has_the_measured_shares(size):
    found = describe.dirt(make_samples.make(size, 3)["pin"])
    for kind, count in PROFILE["dirt_877"].items():
        assert found[kind] == pytest.approx(count * size / make_samples.PROFILED_POSTS, abs=1.5), kind


def test_what_fails_in_a_scrape_fails_together(made):
    pins = made["pin"]
    failed = pins[pins["title"] == make_samples.NO_TITLE]
    assert len(failed) > 100
    assert failed[
        ["poster_name", "follower_count", "tag_list", "image_src", "description"]
    ].drop_duplicates().to_numpy().tolist() == [
        [make_samples.NO_USER] * 2 + [make_samples.NO_TAGS, make_samples.NO_IMAGE, make_samples.NO_STORY]
    ]
    stories = pins["description"] == make_samples.NO_STORY
    assert set(pins.loc[stories, "is_image_or_video"]) == {make_samples.STORY}


def test_texts_hold_awkward_characters(made):
    text = "".join(made["pin"]["title"] + made["pin"]["description"])
    assert all(character in text for character in '"\\\n\té✨')


def test_some_countries_have_tied_favourites(posts):
    counts = posts.groupby(["country", "category"]).size()
    winners = counts[counts == counts.groupby("country").transform("max")].groupby("country").size()
    assert 10 < (winners > 1).sum() < 150


def test_some_groups_have_an_even_number_of_users(users):
    assert (users.groupby(["age_group", "joined"]).size() % 2 == 0).any()


def test_no_address_leads_to_a_real_site(posts):
    hosts = set(posts.loc[posts["image_src"] != make_samples.NO_IMAGE, "image_src"].str.split("/").str[2])
    assert hosts == {"i.pinimg.example"}
    everything = " ".join(path.read_text() for path in FOLDER.rglob("*.json*") if path.suffix != ".gz")
    assert set(re.findall(r"https?://([^/\s\"]+)", everything)) <= {"i.pinimg.example"}
    assert not re.search(r"[\w.]+@[\w.]+", everything)


def test_the_readme_tells_what_the_files_hold():
    frozen = describe.read_topics()
    readme = (FOLDER / "README.md").read_text()
    assert describe.dirt_table(frozen["pin"]) in readme
    assert describe.shape_table(frozen) in readme
    assert describe.injected_table(make_samples.make_with_flags(POSTS, make_samples.SEED)[1]) in readme
    for table in TABLES:
        described = re.findall(r"^\| `(\w+)` \| (?:whole number|number|text|time) ", readme, re.MULTILINE)
        assert set(schema.COLUMNS[table].split()) <= set(described)


@pytest.mark.parametrize("table", TABLES)
def test_hard_cases_are_the_programs_flagged_and_apart(table):
    cases = make_hard_cases.hard_cases(table)
    assert cases == make_hard_cases.make(table)
    assert all(record["_case"] for record in cases)
    keys = [record.get(key) for record in cases for key in ("index", "ind") if str(record.get(key)).isdigit()]
    assert min(map(int, keys)) == make_hard_cases.FIRST_KEY
    assert len(cases) - len(keys) <= 3
    twice = [record for record in cases if "delivered twice" in record["_case"]]
    assert len(twice) >= 2 and twice[0] != twice[1]
