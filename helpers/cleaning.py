"""From lines of text to clean rows: DataFrame in and out, one rule each, for batch and stream alike."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from helpers.quality import absent_sql, count_sql, path_sql, timestamp_sql, valid, whole_sql
from helpers.schema import CLEAN_COLUMNS, COLUMNS, KEY, RAW, SENTINELS

POSITION_WIDTH = 64  # characters: a Kinesis sequence number has 56 digits
# Spark's reader is lax: it also takes {'ind': NaN}, which is no JSON.
STRICT = {"allowSingleQuotes": "false", "allowNonNumericNumbers": "false"}
# A bracket alone, a member of an object, an element of a list: lines of a document that spans several.
PART_OF_A_DOCUMENT = r'^\s*([{}\[\]]|[}\]],)\s*\z|^\s*"[^"]*"\s*:|^[^{]*,\s*\z'


def parse(lines: DataFrame, table: str) -> DataFrame:
    """Lines of text, one JSON document each in `value`, as raw records of a table: every field as text.

    Beside the fields stand `_line`, the text itself; `_position`, its place in the log as text of one width
    (from the stream's `sequenceNumber`, else from the `_offset` in the document), so that text order is log
    order; and `_fault`, one of quality.FAULTS. Bytes that are no UTF-8 no text can hold: `_line` has them
    in base64. Of a field that is there twice the last value counts.
    """
    # from_json ignores what follows a document. In brackets, with a second document behind, it cannot:
    # the list has two members if, and only if, the line is one document.
    end = rf'{{"{KEY[table]}":"\u001e"}}'
    in_list = F.concat(F.lit("["), "_text", F.lit(f",{end}]"))
    fields = [*COLUMNS[table].split(), "_offset"]
    read = (
        lines.withColumn("_text", F.col("value").cast("string"))
        .withColumn("_list", F.from_json(in_list, f"ARRAY<STRUCT<{RAW[table]}>>", STRICT))
        .withColumn("_doc", F.expr("get(_list, 0)"))
        .withColumn("_one", F.expr(f"_doc IS NOT NULL AND size(_list) = 2 AND NOT contains(_text, r'{end}')"))
        .withColumns({field: F.col(f"_doc.{field}") for field in fields})
    )
    place = (
        "sequenceNumber"
        if "sequenceNumber" in lines.columns
        else r"if(_offset RLIKE r'^[0-9]+\z', _offset, NULL)"
    )
    return read.select(
        *COLUMNS[table].split(),
        F.expr("if(is_valid_utf8(_text), _text, base64(CAST(_text AS BINARY)))").alias("_line"),
        F.lpad(F.expr(place), POSITION_WIDTH, "0").alias("_position"),
        F.expr(_fault(table)).alias("_fault"),
    )


def _fault(table: str) -> str:
    """SQL for what is wrong with a text as such; what is costly to find out is asked of suspects only."""
    options = ", ".join(f"'{name}', '{value}'" for name, value in STRICT.items())
    options = f"map('columnNameOfCorruptRecord', '_bad', {options})"
    begins_well = f"_text RLIKE r'^\\s*[{{]' AND from_json(_text, '_bad STRING', {options})._bad IS NULL"
    # Of an object or a list from_json makes a text that begins like one; a text may begin so, too.
    fields = COLUMNS[table].split()
    nested = rf"""_text RLIKE r'"({"|".join(fields)})"\s*:\s*[\[{{]'"""
    like_nested = " OR ".join(f"left(`{field}`, 1) IN ('{{', '[')" for field in fields)
    return rf"""CASE
        WHEN NOT is_valid_utf8(_text) THEN 'not_utf8'
        WHEN _one THEN CASE WHEN ({like_nested}) AND {nested} THEN 'not_a_text' END
        WHEN {begins_well} THEN 'text_after_document'
        WHEN _text RLIKE r'{PART_OF_A_DOCUMENT}' THEN 'document_spans_lines'
        ELSE 'not_json' END"""


def clean_pins(raw: DataFrame) -> DataFrame:
    """What was posted: the columns of schema.CLEAN_COLUMNS and `_position`, one row per `ind`."""
    pins = renamed(save_path(follower_count(nulls_for_sentinels(valid(raw, "pin")))))
    return latest(numeric(pins, "ind").select(*CLEAN_COLUMNS["pin"].split(), "_position"))


def clean_geo(raw: DataFrame) -> DataFrame:
    """Where and when: `ind, country, coordinates, timestamp, _position`, one row per `ind`."""
    places = typed_timestamp(coordinates(numeric(valid(raw, "geo"), "ind")), "timestamp")
    return latest(places.select(*CLEAN_COLUMNS["geo"].split(), "_position"))


def clean_users(raw: DataFrame) -> DataFrame:
    """Who: `ind, user_name, age, date_joined, _position`, one row per `ind`."""
    users = numeric(numeric(valid(raw, "user"), "ind"), "age", "INT")
    users = typed_timestamp(user_name(users), "date_joined")
    return latest(users.select(*CLEAN_COLUMNS["user"].split(), "_position"))


def nulls_for_sentinels(pins: DataFrame) -> DataFrame:
    """Null where the source wrote that it has no data."""
    for column in SENTINELS:
        pins = pins.withColumn(column, F.when(~F.expr(absent_sql(column)), F.col(column)))
    return pins


def follower_count(pins: DataFrame) -> DataFrame:
    """`follower_count` as an exact bigint: "1.5k" is 1500, "2M" 2000000; what is no number is null."""
    return pins.withColumn("follower_count", F.expr(count_sql("follower_count")))


def save_path(pins: DataFrame) -> DataFrame:
    """`save_location` as the path alone: "Local save in /data/art" is "/data/art"; null without a path."""
    return pins.withColumn("save_location", F.expr(path_sql("save_location")))


def renamed(pins: DataFrame) -> DataFrame:
    """`index` under the name `ind` that it has in the other tables."""
    return pins.withColumnRenamed("index", "ind")


def numeric(rows: DataFrame, column: str, kind: str = "BIGINT") -> DataFrame:
    """The column as a whole number of SQL type `kind`; null where the text is none."""
    return rows.withColumn(column, F.expr(f"try_cast({whole_sql(column)} AS {kind})"))


def coordinates(places: DataFrame) -> DataFrame:
    """`coordinates`: latitude and longitude, in degrees, as an array of two doubles."""
    return places.withColumn(
        "coordinates", F.expr("array(try_cast(latitude AS DOUBLE), try_cast(longitude AS DOUBLE))")
    )


def typed_timestamp(rows: DataFrame, column: str) -> DataFrame:
    """The column as a timestamp; without a zone it is UTC; null where the text is no such time."""
    return rows.withColumn(column, F.expr(timestamp_sql(f"`{column}`")))


def user_name(users: DataFrame) -> DataFrame:
    """`user_name`: first and last name with a blank between; the one that is known; null without any."""
    both = F.concat_ws(" ", "first_name", "last_name")
    return users.withColumn("user_name", F.nullif(both, F.lit("")))


def latest(rows: DataFrame) -> DataFrame:
    """One row per `ind`, the one with the highest `_position`; equal positions are the same record."""
    newest_first = Window.partitionBy("ind").orderBy(F.desc("_position"))
    return rows.withColumn("_n", F.row_number().over(newest_first)).where("_n = 1").drop("_n")
