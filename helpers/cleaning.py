"""From raw records to clean rows: DataFrame in, DataFrame out, one rule each, for batch and stream alike."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from helpers.quality import RAW, SENTINELS, moment, people, valid, with_position

__all__ = ["RAW", "clean_geo", "clean_pins", "clean_users", "with_position"]

PIN_COLUMNS = [
    "ind",
    "unique_id",
    "title",
    "description",
    "follower_count",
    "poster_name",
    "tag_list",
    "is_image_or_video",
    "image_src",
    "save_location",
    "category",
]


def clean_pins(raw: DataFrame) -> DataFrame:
    """Clean posts, one row per `ind`, in the order of PIN_COLUMNS and then `_position`."""
    pins = renamed(save_path(follower_count(nulls_for_sentinels(valid(raw, "pin")))))
    return latest(numeric(pins, "ind").select(*PIN_COLUMNS, "_position"))


def clean_geo(raw: DataFrame) -> DataFrame:
    """Where and when: `ind, country, coordinates, timestamp, _position`, one row per `ind`."""
    places = typed_timestamp(coordinates(numeric(valid(raw, "geo"), "ind")), "timestamp")
    return latest(places.select("ind", "country", "coordinates", "timestamp", "_position"))


def clean_users(raw: DataFrame) -> DataFrame:
    """Who: `ind, user_name, age, date_joined, _position`, one row per `ind`."""
    users = numeric(numeric(valid(raw, "user"), "ind"), "age", "INT")
    users = typed_timestamp(user_name(users), "date_joined")
    return latest(users.select("ind", "user_name", "age", "date_joined", "_position"))


def nulls_for_sentinels(pins: DataFrame) -> DataFrame:
    """Null where the source wrote that it has no data."""
    for column, words in SENTINELS.items():
        pins = pins.withColumn(column, F.when(~F.col(column).isin(words), F.col(column)))
    return pins


def follower_count(pins: DataFrame) -> DataFrame:
    """`follower_count` as an exact bigint: "1.5k" is 1500, "2M" 2000000; what is no number is null."""
    return pins.withColumn("follower_count", F.expr(people("follower_count")))


def save_path(pins: DataFrame) -> DataFrame:
    """`save_location` as the path alone: "Local save in /data/art" is "/data/art"; null without a path."""
    path = F.regexp_extract("save_location", "/.*", 0)
    return pins.withColumn("save_location", F.nullif(path, F.lit("")))


def renamed(pins: DataFrame) -> DataFrame:
    """`index` under the name `ind` that it has in the other tables."""
    return pins.withColumnRenamed("index", "ind")


def numeric(rows: DataFrame, column: str, kind: str = "BIGINT") -> DataFrame:
    """The column as a number of SQL type `kind`; null where the text is none."""
    return rows.withColumn(column, F.expr(f"try_cast({column} AS {kind})"))


def coordinates(places: DataFrame) -> DataFrame:
    """`coordinates`: latitude and longitude, in degrees, as an array of two doubles."""
    return places.withColumn(
        "coordinates", F.expr("array(try_cast(latitude AS DOUBLE), try_cast(longitude AS DOUBLE))")
    )


def typed_timestamp(rows: DataFrame, column: str) -> DataFrame:
    """The column as a timestamp; without a zone it is UTC; null where the text is no date and time."""
    return rows.withColumn(column, F.expr(moment(f"`{column}`")))


def user_name(users: DataFrame) -> DataFrame:
    """`user_name`: first and last name with a blank between; the one that is known; null without any."""
    both = F.concat_ws(" ", "first_name", "last_name")
    return users.withColumn("user_name", F.nullif(both, F.lit("")))


def latest(rows: DataFrame) -> DataFrame:
    """One row per `ind`, the one with the highest `_position`; equal positions are the same record."""
    newest_first = Window.partitionBy("ind").orderBy(F.desc("_position"))
    return rows.withColumn("_n", F.row_number().over(newest_first)).where("_n = 1").drop("_n")
