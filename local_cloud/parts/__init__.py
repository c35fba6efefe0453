"""How each real, emulated or stand-in program is configured, started and known to be ready."""

from local_cloud.part import Part
from local_cloud.state import State


def all_parts(state: State) -> list[Part]:
    """Every part of the local cloud, in the order of starting."""
    from local_cloud.parts import (
        airflow,
        aws,
        connect,
        control,
        databricks,
        gateway,
        kafka,
        mariadb,
        rest_proxy,
        spark,
    )

    modules = (mariadb, aws, kafka, spark, control, connect, gateway, rest_proxy, databricks)
    return [*(module.part(state) for module in modules), *airflow.parts(state)]
