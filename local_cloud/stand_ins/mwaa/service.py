"""MWAA: the operations of `mwaa` that the lessons call, carried out by the real Airflow of this cloud.

One environment at a time. The Airflow version and the requirements asked for are kept and shown, but not
installed: the Airflow here is the one that the project pins.
"""

import json
import re
import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

from aiohttp import web
from botocore.exceptions import ClientError

from local_cloud.parts import airflow
from local_cloud.parts.aws import ACCOUNT, REGION, client
from local_cloud.stand_ins.http import AwsError
from local_cloud.stand_ins.mwaa.airflow_runtime import Runtime
from local_cloud.state import State, write_private

Thing = dict[str, Any]
VERSIONS = ("2.7.2", "2.8.1", "2.9.2", "2.10.1", "2.10.3", "2.11.0", "3.0.6")
SERVICES = ("airflow.amazonaws.com", "airflow-env.amazonaws.com")
SYNC_SECONDS = 2
LONGEST_PATH = 64  # of InvokeRestApi


class RestError(AwsError):
    """Airflow's own refusal, as InvokeRestApi passes it on."""

    def __init__(self, status: int, answer: Any) -> None:
        kind = "Client" if status < 500 else "Server"
        super().__init__(f"RestApi{kind}Exception", f"Airflow answers {status}")
        self.body = {"RestApiStatusCode": status, "RestApiResponse": answer}

    def response(self, protocol: str) -> web.Response:
        """The refusal with Airflow's answer in it."""
        return web.json_response(self.body, status=self.status, headers={"x-amzn-ErrorType": self.code})


class Mwaa:
    """All operations by name; each takes the call's parameters as botocore names them."""

    def __init__(self, state: State) -> None:
        self.state, self.file = state, state.path("control", "mwaa.json")
        self.runtime = Runtime(state)
        self.lock, self.stop = threading.RLock(), threading.Event()
        self.kept: dict[str, Thing] = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.operations: dict[str, Callable[[Thing], Thing]] = {
            "CreateEnvironment": self.create,
            "GetEnvironment": lambda asked: {"Environment": self.find(asked)},
            "ListEnvironments": lambda asked: {"Environments": list(self.kept)},
            "DeleteEnvironment": self.delete,
            "InvokeRestApi": self.invoke,
            "CreateWebLoginToken": self.web_login,
        }

    def handle(self, operation: str, asked: Thing) -> Thing:
        """Answer one call; AwsError names an operation that is not done."""
        if operation not in self.operations:
            raise AwsError("ValidationException", f"the local cloud does not do mwaa.{operation}")
        try:
            return self.operations[operation](asked)
        except OSError as problem:
            message = f"Airflow does not answer: {problem}"
            raise AwsError("InternalServerException", message, 500) from problem

    def find(self, asked: Thing) -> Thing:
        """The environment that a call is about, or ResourceNotFoundException."""
        if asked["Name"] not in self.kept:
            message = f"No environment with name '{asked['Name']}' found."
            raise AwsError("ResourceNotFoundException", message, 404)
        return self.kept[asked["Name"]]

    def create(self, asked: Thing) -> Thing:
        """Check what AWS checks at once, then start Airflow."""
        with self.lock:
            if self.kept:
                raise refused(f"the local cloud runs one environment, and there is {next(iter(self.kept))}")
            self.check(asked)
            arn = f"arn:aws:airflow:{REGION}:{ACCOUNT}:environment/{asked['Name']}"
            made = {"Arn": arn, "CreatedAt": time.time(), "Status": "CREATING"}
            made |= {"LastUpdate": {"Status": "PENDING", "CreatedAt": time.time()}}
            self.kept[asked["Name"]] = asked | made | {"WebserverUrl": airflow.host(self.state)}
            self.save()
        threading.Thread(target=self.bring_up, args=(asked["Name"],), daemon=True).start()
        return {"Arn": arn}

    def check(self, asked: Thing) -> None:
        """Raise what CreateEnvironment answers at once."""
        if not re.fullmatch(r"[a-zA-Z][\w-]{0,79}", asked["Name"], re.ASCII):
            raise refused("Name begins with a letter and has letters, digits, - and _, at most 80")
        if asked.get("AirflowVersion", VERSIONS[-1]) not in VERSIONS:
            raise refused(f"AirflowVersion is one of {', '.join(VERSIONS)}")
        for option in asked.get("AirflowConfigurationOptions", {}):
            if not re.fullmatch(r"[a-z_.]+\.[a-z_0-9]+", option) or airflow.is_ours(option):
                raise refused(f"AirflowConfigurationOptions cannot set {option[:80]!r} in the local cloud")
        if len(asked["NetworkConfiguration"].get("SubnetIds", [])) != 2:
            raise refused("NetworkConfiguration has exactly two SubnetIds")
        try:
            subnets = client(self.state, "ec2").describe_subnets(
                SubnetIds=asked["NetworkConfiguration"]["SubnetIds"]
            )["Subnets"]
            self.check_bucket(asked)
            self.check_role(asked)
        except ClientError as error:
            raise refused(str(error)) from None
        if len({subnet["AvailabilityZone"] for subnet in subnets}) != 2:
            raise refused("The subnets must be in two availability zones")

    def check_bucket(self, asked: Thing) -> None:
        """The bucket keeps versions and nobody outside gets in; DAGs and requirements are there."""
        s3, (bucket, folder) = client(self.state, "s3"), place(asked)
        if s3.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
            raise refused(f"Provided bucket does not have versioning enabled for s3 bucket {bucket}")
        try:
            blocks = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        except ClientError:
            blocks = {"none": False}
        if not all(blocks.values()):
            raise refused(f"Provided bucket does not have BlockPublicAccess set for s3 bucket {bucket}")
        for key in [folder, *filter(None, [asked.get("RequirementsS3Path")])]:
            if not s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)["KeyCount"]:
                raise refused(f"There is nothing at s3 location {bucket}/{key}")

    def check_role(self, asked: Thing) -> None:
        """The role exists, lets both services take it on, and may read the DAGs."""
        iam, (bucket, folder) = client(self.state, "iam"), place(asked)
        arn = asked["ExecutionRoleArn"]
        trust = iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]["AssumeRolePolicyDocument"]
        if not all(f'"{service}"' in json.dumps(trust) for service in SERVICES):
            raise refused(f"Provided role {arn} does not trust {' and '.join(SERVICES)}")
        wanted = {"ActionNames": ["s3:GetObject"], "ResourceArns": [f"arn:aws:s3:::{bucket}/{folder}x.py"]}
        [found] = iam.simulate_principal_policy(PolicySourceArn=arn, **wanted)["EvaluationResults"]
        if found["EvalDecision"] != "allowed":
            message = "Provided role does not have sufficient permissions for s3 location"
            raise refused(f"{message} {bucket}/{folder.rstrip('/')}")

    def bring_up(self, name: str) -> None:
        """The creation, which takes a moment; what goes wrong is read in LastUpdate."""
        status, update = "AVAILABLE", Thing(Status="SUCCESS")
        try:
            self.runtime.start(self.kept[name].get("AirflowConfigurationOptions", {}))
        except (RuntimeError, OSError) as problem:
            error = {"ErrorCode": "INCORRECT_CONFIGURATION", "ErrorMessage": str(problem)}
            status, update = "CREATE_FAILED", Thing(Status="FAILED", Error=error)
        with self.lock:
            self.kept[name] |= {"Status": status, "LastUpdate": self.kept[name]["LastUpdate"] | update}
            self.save()

    def delete(self, asked: Thing) -> Thing:
        """Stop Airflow and delete what it has kept; DELETING is seen for a moment."""
        self.find(asked)["Status"] = "DELETING"
        threading.Thread(target=self.take_down, args=(asked["Name"],), daemon=True).start()
        return {}

    def take_down(self, name: str) -> None:
        """The deletion."""
        with self.lock:
            self.runtime.remove()
            self.kept.pop(name, None)
            self.save()

    def watch(self) -> None:
        """Keep the DAG folder equal to the one in S3; go on with what an earlier server began."""
        for name, environment in list(self.kept.items()):
            if environment["Status"] == "CREATING":
                self.bring_up(name)
        while not self.stop.wait(SYNC_SECONDS):
            with self.lock:
                for environment in self.kept.values():
                    try:
                        self.runtime.sync(*place(environment))
                    except (ClientError, OSError) as problem:
                        print(f"mwaa: the DAGs cannot be read: {problem}", flush=True)

    def invoke(self, asked: Thing) -> Thing:
        """Pass a call on to Airflow's REST API."""
        path, name = urllib.parse.quote(asked["Path"], safe="/~:+%"), asked["Name"]
        if len(asked["Path"]) > LONGEST_PATH or ".." in path or not path.startswith("/"):
            message = f"Path begins with / and has at most {LONGEST_PATH} characters: {asked['Path']}"
            raise AwsError("ValidationException", message)
        if (status := self.find(asked)["Status"]) != "AVAILABLE":
            raise AwsError("AccessDeniedException", f"Environment {name} is {status}", 403)
        if query := urllib.parse.urlencode(asked.get("QueryParameters", {}), doseq=True):
            path += f"?{query}"
        code, answer = self.runtime.call(asked["Method"], path, asked.get("Body"))
        if code >= 400:
            raise RestError(code, answer)
        return {"RestApiStatusCode": code, "RestApiResponse": answer}

    def web_login(self, asked: Thing) -> Thing:
        """A token with which a browser comes in without a password."""
        found = {"WebServerHostname": self.find(asked)["WebserverUrl"], "AirflowIdentity": airflow.USER}
        return found | {"WebToken": self.runtime.login()}

    def save(self) -> None:
        """Write everything down."""
        write_private(self.file, json.dumps(self.kept, indent=1))


def place(environment: Thing) -> tuple[str, str]:
    """Bucket and prefix of an environment's DAGs."""
    return environment["SourceBucketArn"].rpartition(":::")[2], f"{environment['DagS3Path'].strip('/')}/"


def refused(message: str) -> AwsError:
    """What CreateEnvironment says to a request that it cannot carry out."""
    return AwsError("ValidationException", f"Invalid request provided: {message}.")
