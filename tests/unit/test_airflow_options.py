"""An environment's options reach Airflow, but not those that decide who comes in and what is read."""

import pytest

from local_cloud.parts import airflow
from local_cloud.stand_ins.http import AwsError
from local_cloud.stand_ins.mwaa.service import Mwaa
from local_cloud.state import State

OURS = [
    "api.host",
    "api.secret_key",
    "api.secret_key_cmd",
    "api.base_url",
    "api_auth.jwt_secret",
    "core.fernet_key",
    "core.fernet_key_cmd",
    "core.simple_auth_manager_all_admins",
    "core.simple_auth_manager_users",
    "core.executor",
    "core.auth_manager",
    "core.auth_manager_cmd",
    "core.dags_folder",
    "core.plugins_folder",
    "secrets.backend",
    "database.sql_alchemy_conn",
    "database.sql_alchemy_conn_secret",
    "logging.base_log_folder",
    "webserver.secret_key",
    "dag_processor.dag_bundle_config_list",
    "API.HOST",
    "api__host",
]


@pytest.mark.parametrize("option", OURS)
def test_an_environment_that_sets_one_of_ours_is_refused(tmp_path, option):
    options = {"AirflowConfigurationOptions": {"pipeline.retries": "1", option: "x"}}
    with pytest.raises(AwsError, match="cannot set") as refused:
        Mwaa(State(tmp_path)).check({"Name": "a", "NetworkConfiguration": {}} | options)
    assert refused.value.code == "ValidationException" and option in refused.value.message


@pytest.mark.parametrize("option", ["core.default_task_retries", "core.parallelism", "pipeline.retries"])
def test_the_others_are_the_readers(option):
    assert not airflow.is_ours(option)
