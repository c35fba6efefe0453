"""What a raw record must be, what becomes of one that is not, and the sums that prove nothing was lost."""

from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

KEY = {"pin": "`index`", "geo": "ind", "user": "ind"}
OWN = {
    "pin": "unique_id, title, description, poster_name, follower_count, tag_list, is_image_or_video, "
    "image_src, downloaded, save_location, category",
    "geo": "`timestamp`, latitude, longitude, country",
    "user": "first_name, last_name, age, date_joined",
}
# Every field is text, as it came: what it should be is decided in the open, by rules, never by the reader.
RAW = {
    table: f"{KEY[table]} STRING, {OWN[table].replace(',', ' STRING,')} STRING, "
    "_offset BIGINT, _corrupt_record STRING"
    for table in KEY
}
# What the source writes where it has no data.
SENTINELS = {
    "title": ["No Title Data Available"],
    "description": ["No description available Story format", "No description available", "Untitled"],
    "poster_name": ["User Info Error"],
    "follower_count": ["User Info Error"],
    "tag_list": ["N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e"],
    "image_src": ["Image src error."],
}
BLANKS = " \t\r\n\u00a0"
POSITION_WIDTH = 64
OLDEST = 120  # years


def people(column: str) -> str:
    """SQL that reads "985", "1,234", "1.5k", "2 M" or "3B" as an exact bigint, anything else as null.

    The decimal point moves in the text: no float that makes 8199999 of 8.2M, and no rounding.
    What is no whole number of people, or more than a bigint holds, is null.
    """
    gap = " \u00a0"  # a blank may be of the kind that does not break
    number = f"lower(translate({column}, ',{gap}', ''))"
    whole = f"regexp_extract({number}, '^[0-9]+', 0)"
    part = f"trim(TRAILING '0' FROM regexp_extract({number}, '[.]([0-9]+)', 1))"
    places = f"CASE right({number}, 1) WHEN 'k' THEN 3 WHEN 'm' THEN 6 WHEN 'b' THEN 9 ELSE 0 END"
    shape = rf"^([0-9]+|[0-9]{{1,3}}([,{gap}][0-9]{{3}})+)([.][0-9]+)?[{gap}]*[kKmMbB]?\z"
    return (
        f"CASE WHEN {column} RLIKE r'{shape}' AND length({part}) <= {places} "
        f"THEN try_cast(concat({whole}, rpad({part}, {places}, '0')) AS BIGINT) END"
    )


def moment(column: str) -> str:
    """SQL that reads an ISO date and time, with `T` or a blank between, as a timestamp; else null.

    A time without a zone is UTC, whatever the session's zone is.
    """
    shape = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}"
    zoned = f"if({column} RLIKE '(Z|[-+][0-9]{{2}}:[0-9]{{2}})$', {column}, concat({column}, 'Z'))"
    return f"CASE WHEN {column} RLIKE '{shape}' THEN try_cast({zoned} AS TIMESTAMP) END"


class Rule(NamedTuple):
    """A fault: its name, the SQL condition that finds it, and what is done with the record."""

    name: str
    fault: str
    action: str = "quarantine"  # or "repair": the value becomes null and the record stays


def _common(table: str) -> list[Rule]:
    return [
        Rule("not_json", "_corrupt_record IS NOT NULL"),
        # The reader drops fields that the schema does not name: of a foreign record nothing is left.
        Rule("wrong_table", f"coalesce({OWN[table]}) IS NULL"),
        Rule("missing_key", f"coalesce(try_cast({KEY[table]} AS BIGINT), -1) < 0"),
        Rule("missing_position", "_position IS NULL"),
    ]


def _absent(column: str) -> Rule:
    said = ", ".join(f"'{words}'" for words in SENTINELS[column])
    return Rule(f"no_{column}", f"{column} IS NULL OR {column} IN ({said})", "repair")


RULES = {
    "pin": [
        *_common("pin"),
        Rule("missing_field", "unique_id IS NULL OR category IS NULL"),
        *(_absent(column) for column in SENTINELS if column != "follower_count"),
        Rule("no_follower_count", f"{people('follower_count')} IS NULL", "repair"),
    ],
    "geo": [
        *_common("geo"),
        Rule("missing_field", "`timestamp` IS NULL OR country IS NULL"),
        Rule("impossible_latitude", "NOT coalesce(try_cast(latitude AS DOUBLE) BETWEEN -90 AND 90, false)"),
        Rule(
            "impossible_longitude", "NOT coalesce(try_cast(longitude AS DOUBLE) BETWEEN -180 AND 180, false)"
        ),
        Rule("impossible_timestamp", f"{moment('`timestamp`')} IS NULL"),
    ],
    "user": [
        *_common("user"),
        Rule("missing_field", "date_joined IS NULL"),
        Rule("impossible_date_joined", f"{moment('date_joined')} IS NULL"),
        Rule(
            "impossible_age", f"coalesce(try_cast(coalesce(age, '0') AS INT), -1) NOT BETWEEN 0 AND {OLDEST}"
        ),
        Rule("no_age", "age IS NULL", "repair"),
        Rule("no_name", "first_name IS NULL OR last_name IS NULL", "repair"),
    ],
}


def with_position(raw: DataFrame) -> DataFrame:
    """Add `_position`, the record's place in its log as text of one width, so that text order is log order.

    A Kinesis record has its `sequenceNumber`, a record from the topic its `_offset`.
    """
    if "_position" in raw.columns:
        return raw
    place = "sequenceNumber" if "sequenceNumber" in raw.columns else "_offset"
    return raw.withColumn("_position", F.lpad(F.col(place).cast("string"), POSITION_WIDTH, "0"))


def checked(raw: DataFrame, table: str) -> DataFrame:
    """The raw records, their values trimmed and blank ones null, with `_record` as JSON and `_reason`.

    The reason is the name of the first rule that is broken, null for a valid record.
    """
    fields = [name.strip("`") for name in (KEY[table], *OWN[table].split(", "))]
    record = F.coalesce("_corrupt_record", F.to_json(F.struct(*fields)))
    values = [F.nullif(F.btrim(field, F.lit(BLANKS)), F.lit("")).alias(field) for field in fields]
    trimmed = with_position(raw).select(*values, "_position", "_corrupt_record", record.alias("_record"))
    return trimmed.withColumn("_reason", _reason(table))


def _reason(table: str) -> Column:
    rules = [rule for rule in RULES[table] if rule.action == "quarantine"]
    return F.coalesce(*(F.when(F.expr(rule.fault), rule.name) for rule in rules))


def valid(raw: DataFrame, table: str) -> DataFrame:
    """The raw records that break no rule: trimmed text fields and `_position`."""
    return checked(raw, table).where("_reason IS NULL").drop("_corrupt_record", "_record", "_reason")


def quarantine(raw: DataFrame, table: str) -> DataFrame:
    """The other records: `table, reason, record, _position`; the record is JSON, or the text that came."""
    return (
        checked(raw, table)
        .where("_reason IS NOT NULL")
        .select(
            F.lit(table).alias("table"),
            F.col("_reason").alias("reason"),
            F.col("_record").alias("record"),
            "_position",
        )
    )


def dirt_profile(raw: DataFrame, table: str) -> DataFrame:
    """For each rule `rule, action, rows, share`: a quarantined record counts under its first rule only."""
    rules = RULES[table]
    faults = [
        f"_reason = '{rule.name}'" if rule.action == "quarantine" else f"_reason IS NULL AND ({rule.fault})"
        for rule in rules
    ]
    counts = [F.count_if(F.expr(fault)).alias(rule.name) for rule, fault in zip(rules, faults, strict=True)]
    sums = checked(raw, table).agg(F.count("*").alias("_all"), *counts)
    lines = ", ".join(f"struct('{r.name}' AS rule, '{r.action}' AS action, {r.name} AS rows)" for r in rules)
    long = sums.selectExpr(f"inline(array({lines}))", "_all")
    return long.selectExpr("rule", "action", "rows", "round(rows / nullif(_all, 0), 4) AS share")


def reconcile(raw: DataFrame, clean: DataFrame, table: str) -> dict[str, int | str]:
    """Count `in`, `clean`, `duplicates` and `quarantined`, and whether nothing vanished (`balanced`).

    Duplicates are counted in the raw records, `clean` in the clean ones, so the sum is a proof.
    """
    key = F.expr(f"try_cast({KEY[table]} AS BIGINT)")
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
