"""What a raw record must be, what becomes of one that is not, and the sums that prove nothing was lost."""

from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from helpers.schema import COLUMNS, KEY, SENTINELS

SPACES = " \u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))  # all of Unicode's
BLANKS = SPACES + "\t\r\n"
OLDEST = 120  # years
# What `cleaning.parse` finds in the text of a record, before any field is looked at.
FAULTS = ("not_utf8", "text_after_document", "document_spans_lines", "not_json", "not_a_text")
ISO = (
    r"^(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)? ?(Z|[-+][0-9]{2}(:?[0-9]{2})?)?)?\z"
)


def whole_sql(column: str) -> str:
    """SQL that reads "16", "16.0" or "1.5E7" as a bigint; null where the text is no whole number."""
    decimal = f"try_cast({column} AS DECIMAL(38, 18))"
    return (
        f"coalesce(try_cast({column} AS BIGINT), CASE WHEN "
        rf"{column} RLIKE r'^-?[0-9]+([.][0-9]{{1,18}})?([eE][+]?[0-9]{{1,2}})?\z' "
        f"AND {decimal} % 1 = 0 THEN try_cast({decimal} AS BIGINT) END)"
    )


def count_sql(column: str) -> str:
    """SQL that reads "985", "1,234", "1.5k", "2 M", "3B" or "1.5E7" as an exact bigint, all else as null.

    The decimal point moves in the text: no float that makes 8199999 of 8.2M, and no rounding.
    What is no whole number of people, or more than a bigint holds, is null.
    """
    number = f"lower(translate({column}, ',{SPACES}', ''))"
    whole = f"regexp_extract({number}, '^[0-9]+', 0)"
    part = f"trim(TRAILING '0' FROM regexp_extract({number}, '[.]([0-9]+)', 1))"
    places = f"CASE right({number}, 1) WHEN 'k' THEN 3 WHEN 'm' THEN 6 WHEN 'b' THEN 9 ELSE 0 END"
    shape = rf"^([0-9]+|[0-9]{{1,3}}([,{SPACES}][0-9]{{3}})+)([.][0-9]+)?[{SPACES}]*[kKmMbB]?\z"
    return (
        f"CASE WHEN {column} RLIKE r'{shape}' THEN CASE WHEN length({part}) <= {places} "
        f"THEN try_cast(concat({whole}, rpad({part}, {places}, '0')) AS BIGINT) END "
        f"WHEN {column} RLIKE '^[0-9].*[eE]' THEN {whole_sql(column)} END"
    )


def timestamp_sql(column: str) -> str:
    """SQL that reads an ISO 8601 date, or date and time, as a timestamp; null where there is no such time.

    A time without a zone is UTC, whatever the session's zone is; a date alone is its first second.
    """
    text, rest = f"translate(upper({column}), ',', '.')", f"substr(upper({column}), 17)"  # after the minutes
    full = (
        f"concat(rpad(left({text}, 16), 16, ' 00:00'), if(left({rest}, 1) = ':', '', ':00'), "
        f"substr({text}, 17), if({rest} RLIKE '[-+Z]', '', 'Z'))"
    )
    return f"CASE WHEN upper({column}) RLIKE r'{ISO}' THEN try_cast({full} AS TIMESTAMP) END"


def path_sql(column: str) -> str:
    """SQL for the path in a text like "Local save in /data/art"; null where there is none."""
    path = f"btrim(regexp_replace({column}, r'(?i)^local save in(?=\\s|\\z)', ''), '{SPACES}')"
    return rf"CASE WHEN {path} RLIKE r'^\S*/' THEN {path} END"


def absent_sql(column: str) -> str:
    """SQL that finds null and the sentences by which the source says that it has no data."""
    words = [words.lower().removesuffix(".") for words in SENTINELS[column]]
    said = ", ".join(f"'{each}', '{each}.'" for each in words)
    longest = max(map(len, words)) + 1
    return f"({column} IS NULL OR octet_length({column}) <= {longest} AND lower({column}) IN ({said}))"


class Rule(NamedTuple):
    """A fault: its name, the SQL condition that finds it, and what is done with the record."""

    name: str
    fault: str
    action: str = "quarantine"  # or "repair": the value becomes null and the record stays


def _rules(table: str, *own: Rule) -> list[Rule]:
    key, *fields = (f"`{name}`" for name in COLUMNS[table].split())
    return [
        *(Rule(name, f"_fault = '{name}'") for name in FAULTS),
        Rule("wrong_table", f"coalesce({', '.join(fields)}) IS NULL"),
        Rule("missing_key", f"coalesce({whole_sql(key)}, -1) < 0"),
        Rule("missing_position", "_position IS NULL"),
        *own,
    ]


def _times(column: str) -> list[Rule]:
    name = column.strip("`")
    return [
        Rule(f"unreadable_{name}", f"NOT coalesce(upper({column}) RLIKE r'{ISO}', false)"),
        Rule(f"impossible_{name}", f"{timestamp_sql(column)} IS NULL"),
    ]


def _degrees(column: str, most: int) -> Rule:
    fault = f"NOT coalesce(try_cast({column} AS DOUBLE) BETWEEN -{most} AND {most}, false)"
    return Rule(f"impossible_{column}", fault)


RULES = {
    "pin": _rules(
        "pin",
        Rule("missing_field", "unique_id IS NULL OR category IS NULL"),
        *(Rule(f"no_{column}", absent_sql(column), "repair") for column in SENTINELS),
        Rule(
            "unreadable_follower_count",
            f"NOT {absent_sql('follower_count')} AND {count_sql('follower_count')} IS NULL",
            "repair",
        ),
        Rule("no_save_location", f"{path_sql('save_location')} IS NULL", "repair"),
    ),
    "geo": _rules(
        "geo",
        Rule("missing_field", "`timestamp` IS NULL OR country IS NULL"),
        _degrees("latitude", 90),
        _degrees("longitude", 180),
        *_times("`timestamp`"),
    ),
    "user": _rules(
        "user",
        Rule("missing_field", "date_joined IS NULL"),
        *_times("date_joined"),
        Rule(
            "impossible_age",
            f"age IS NOT NULL AND coalesce({whole_sql('age')}, -1) NOT BETWEEN 0 AND {OLDEST}",
        ),
        Rule("no_age", "age IS NULL", "repair"),
        Rule("no_name", "first_name IS NULL OR last_name IS NULL", "repair"),
    ),
}


def checked(raw: DataFrame, table: str) -> DataFrame:
    """Parsed records, their values trimmed and blank ones null, with `_line`, `_position` and `_reason`.

    The reason is the name of the first rule that is broken, null for a valid record. A field that is null,
    missing or blank is the same thing here: no data. Which of the three it was, `_line` still tells.
    """
    fields = COLUMNS[table].split()
    values = [_trimmed(field) for field in fields]
    return raw.select(*values, "_line", "_position", "_fault").withColumn("_reason", _reason(table))


def _trimmed(field: str) -> Column:
    """The text without blanks at its ends; null if nothing is left.

    To look for every kind of blank costs more than all the rules, so only texts are looked at that do not
    begin and end with a letter, digit or sign of ASCII.
    """
    text = F.col(field)
    plain = F.ascii(text).between(33, 126) & F.ascii(F.right(text, F.lit(1))).between(33, 126)
    return F.when(plain, text).otherwise(F.nullif(F.btrim(text, F.lit(BLANKS)), F.lit(""))).alias(field)


def _reason(table: str) -> Column:
    rules = [rule for rule in RULES[table] if rule.action == "quarantine"]
    return F.coalesce(*(F.when(F.expr(rule.fault), rule.name) for rule in rules))


def valid(raw: DataFrame, table: str) -> DataFrame:
    """The records that break no rule: trimmed text fields and `_position`."""
    return checked(raw, table).where("_reason IS NULL").drop("_line", "_fault", "_reason")


def quarantine(raw: DataFrame, table: str) -> DataFrame:
    """The other records: `table, reason, record, _position`; the record is the very text that came."""
    columns = [F.lit(table).alias("table"), F.col("_reason").alias("reason"), F.col("_line").alias("record")]
    return checked(raw, table).where("_reason IS NOT NULL").select(*columns, "_position")


def _condition(rule: Rule) -> Column:
    if rule.action == "quarantine":  # a record counts under its first rule only
        return F.expr(f"_reason = '{rule.name}'")
    return F.expr(f"_reason IS NULL AND ({rule.fault})")


def dirt_profile(raw: DataFrame, table: str) -> DataFrame:
    """For each rule `rule, action, rows, share`: a quarantined record counts under its first rule only."""
    rules = RULES[table]
    counts = [F.count_if(_condition(rule)).alias(rule.name) for rule in rules]
    sums = checked(raw, table).agg(F.count("*").alias("_all"), *counts)
    lines = ", ".join(f"struct('{r.name}' AS rule, '{r.action}' AS action, {r.name} AS rows)" for r in rules)
    long = sums.selectExpr(f"inline(array({lines}))", "_all")
    return long.selectExpr("rule", "action", "rows", "round(rows / nullif(_all, 0), 4) AS share")


def records_of(raw: DataFrame, table: str, rule: str) -> DataFrame:
    """The records behind a line of the profile as they came: `record, _position`.

    So the text that a repair made null, an unreadable count for instance, is never out of reach.
    """
    [found] = [each for each in RULES[table] if each.name == rule]
    return checked(raw, table).where(_condition(found)).selectExpr("_line AS record", "_position")


def unknown_fields(raw: DataFrame, table: str) -> DataFrame:
    """Fields that no column takes, `field, rows`: of a new version of the app, or of a mistyped name."""
    known = F.array(*(F.lit(name) for name in [*COLUMNS[table].split(), "_offset"]))
    fields = F.explode(F.array_except(F.json_object_keys("_line"), known)).alias("field")
    rows = raw.where("_fault IS NULL").select(fields).groupBy("field")
    return rows.agg(F.count("*").alias("rows"))


def check_log(raw: DataFrame, table: str) -> None:
    """Raise ValueError when two different records have one place in the log: neither is the later one."""
    line = F.xxhash64("_line")
    ends = raw.where("_position IS NOT NULL").groupBy("_position").agg(F.min(line), F.max(line))
    if found := ends.toDF("_position", "least", "most").where("least <> most").first():
        raise ValueError(
            f"two different records of {table!r} have the offset {int(found['_position'])}: the topic was "
            "made anew, or has several partitions. Move the old topic's objects away, then read again."
        )


def reconcile(raw: DataFrame, clean: DataFrame, table: str) -> dict[str, int | str]:
    """Count `in`, `clean`, `duplicates` and `quarantined`: the last three add up to the first.

    Duplicates are counted in the raw records, `clean` in the clean ones, so the sum is a proof.
    """
    key = F.expr(whole_sql(f"`{KEY[table]}`"))
    good = F.col("_reason").isNull()
    counts = checked(raw, table).agg(
        F.count("*").alias("total"),
        F.count_if(good).alias("good"),
        F.count_distinct(F.when(good, key)).alias("posts"),
    )
    found = counts.crossJoin(clean.agg(F.count("*").alias("clean"))).first()
    assert found is not None
    duplicates, quarantined = found["good"] - found["posts"], found["total"] - found["good"]
    return {
        "table": table,
        "in": found["total"],
        "clean": found["clean"],
        "duplicates": duplicates,
        "quarantined": quarantined,
    }
