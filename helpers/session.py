"""The Spark session of a notebook."""

import os
import socket
import time
from urllib.parse import urlsplit

from pyspark.sql import SparkSession

from helpers import databricks
from helpers.config import ConfigError, in_databricks

STARTING = 90  # seconds that a server may take on a busy machine


def spark() -> SparkSession:
    """The Spark session: Databricks' own, the local cloud's server, or else a server for this notebook alone.

    Call `config.use_target()` first, which sets where the server is. Raises ConfigError when there is none,
    or when Databricks' is too old for the lessons.
    """
    databricks.show_frames()
    _refuse_what_is_too_old()
    if not in_databricks():
        alone = not os.environ.get("SPARK_REMOTE") or ("RAW_PATH" in os.environ and not _answers())
        if alone:
            from helpers import local_spark  # Databricks has neither its jars nor its Java

            local_spark.start()
        _wait_for_server(quiet=alone)
    session = SparkSession.builder.getOrCreate()
    try:
        return _configured(session)
    except Exception as error:  # a class of its own on every kind of compute
        if not any(name in str(error) for name in ("INVALID_HANDLE", "NO_ACTIVE_SESSION")):
            raise
    session.stop()  # the server has started anew, and knows no session of before
    return _configured(SparkSession.builder.getOrCreate())


def _configured(session: SparkSession) -> SparkSession:
    session.conf.set("spark.sql.session.timeZone", "UTC")
    session.conf.set("spark.sql.ansi.enabled", "true")
    return session


def _refuse_what_is_too_old() -> None:
    reason = databricks.too_old() if in_databricks() else ""
    if reason:
        raise ConfigError(reason)


def _answers() -> bool:
    place = urlsplit(os.environ.get("SPARK_REMOTE", ""))
    try:
        socket.create_connection((place.hostname or "", place.port or 0), timeout=5).close()
    except OSError:
        return False
    return True


def _wait_for_server(quiet: bool) -> None:
    until = time.monotonic() + STARTING
    if not quiet and not _answers():
        print("Spark is starting: this cell waits for it.")
    while not _answers():
        if time.monotonic() > until:
            raise ConfigError("Spark does not answer: run `make up`, then this cell again.")
        time.sleep(0.2)
