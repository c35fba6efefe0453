"""Every setting by which an AWS SDK or a proxy may send a call elsewhere, and a child process for each.

`python -m tests.machines.hostile_settings CLOUD_PORT FOLDER [NAME ...]` prints a JSON line a setting: what
was sent where and as whom. With names, only those, and `use_target` leaves the reader's settings alone.
"""

import contextlib
import json
import os
import re
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import botocore
import requests
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES as VARIABLES
from botocore.configprovider import DEFAULT_S3_CONFIG_VARS as S3_VARIABLES

STRAY = "http://127.0.0.1:9"  # nothing of the local cloud's
KEY = "AKIALOCAL"
CALLS = {"s3": "list_buckets", "sts": "get_caller_identity"}
MORE_CALLS = {
    "kinesis": "list_streams",
    "iam": "list_roles",
    "ec2": "describe_vpcs",
    "apigateway": "get_rest_apis",
    "kafka": "list_clusters",
    "kafkaconnect": "list_connectors",
    "mwaa": "list_environments",
    "ssm": "describe_instance_information",
}


class Setting(NamedTuple):
    """One hostile setting: variables, and the files of a home folder (path -> text)."""

    name: str
    environ: dict[str, str]
    files: dict[str, str]
    services: dict[str, str] = CALLS


# What a value must be like to do harm; every other variable gets STRAY.
HARM = {
    "AWS_PROFILE": "other",
    "AWS_DEFAULT_PROFILE": "other",
    "AWS_REGION": "eu-west-3",
    "AWS_DEFAULT_REGION": "eu-west-3",
    "AWS_ACCESS_KEY_ID": "AKIASTRAY",
    "AWS_CREDENTIAL_EXPIRATION": "2001-01-01T00:00:00Z",
    "AWS_CSM_HOST": "127.0.0.1",
    "AWS_CSM_PORT": "9",
    "AWS_CONFIG_FILE": "{home}/elsewhere/config",
    "AWS_SHARED_CREDENTIALS_FILE": "{home}/elsewhere/credentials",
    "AWS_DATA_PATH": "{home}/models",
    "AWS_RETRY_MODE": "adaptive",
    "AWS_DEFAULTS_MODE": "standard",
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": "required",
    "AWS_AUTH_SCHEME_PREFERENCE": "noAuth",
}
TRUE = re.compile(r"ENABLED|DISABLE|USE_|IGNORE|_V1_|IPV6|NEW_RETRIES|COMPRESSION$")
TOGETHER = {  # what does nothing alone
    "AWS_CSM_ENABLED": {"AWS_CSM_HOST": "127.0.0.1", "AWS_CSM_PORT": "9"},
    "AWS_WEB_IDENTITY_TOKEN_FILE": {"AWS_ROLE_ARN": "arn:aws:iam::1:role/r"},
}
KEYS_ELSEWHERE = "aws_access_key_id = AKIASTRAY\naws_secret_access_key = s\n"
MODELS = {
    "version": "1.0",
    "parameters": {},
    "rules": [{"conditions": [], "endpoint": {"url": STRAY}, "type": "endpoint"}],
}
FILES = {
    ".aws/config": f"[profile other]\nregion = eu-west-3\nendpoint_url = {STRAY}\n{KEYS_ELSEWHERE}",
    "elsewhere/config": f"[default]\nendpoint_url = {STRAY}\n",
    "elsewhere/credentials": f"[default]\n{KEYS_ELSEWHERE}aws_session_token = t\n",
    "models/s3/2006-03-01/endpoint-rule-set-1.json": json.dumps(MODELS),
}
# Keys of a config file that botocore reads outside its table of variables.
FILE_KEYS = {
    "endpoint_url": STRAY,
    "services": f"mine\n[services mine]\ns3 =\n  endpoint_url = {STRAY}\nsts =\n  endpoint_url = {STRAY}",
    "aws_session_token": f"t\n{KEYS_ELSEWHERE}",
    "credential_process": "touch {home}/executed",
    "role_arn": f"arn:aws:iam::1:role/r\nsource_profile = other\n[profile other]\n{KEYS_ELSEWHERE}",
    "credential_source": "Ec2InstanceMetadata\nrole_arn = arn:aws:iam::1:role/r",
    "web_identity_token_file": "{home}/token\nrole_arn = arn:aws:iam::1:role/r",
    "sso_session": "s\nsso_account_id = 1\nsso_role_name = r\n[sso-session s]\nsso_region = eu-west-3\n"
    f"sso_start_url = {STRAY}",
    "login_session": "arn:aws:iam::1:user/u",
}


def known_variables() -> list[str]:
    """Every AWS variable that stands in botocore's and boto3's own code, and in its table."""
    found = {
        name
        for _, names, *_ in VARIABLES.values()
        for name in (names if isinstance(names, list) else [names])
    }
    found |= {name for _, name, *_ in S3_VARIABLES.values()}
    for package in (botocore, boto3):
        for file in Path(package.__file__).parent.glob("*.py"):
            found |= set(re.findall(r"""["']((?:AWS|BOTO|BOTOCORE)_[A-Z0-9_]+)["']""", file.read_text()))
    # A watch of botocore's does not send, so they are not in its code.
    found |= {"AWS_ENDPOINT_URL", "AWS_BEARER_TOKEN_BEDROCK"}
    return sorted(found - {None, "AWS_EC2_METADATA_DISABLED"})


def settings() -> Iterator[Setting]:
    """All of them: the variables, the config file's keys, endpoints by service, proxies, all at once."""
    everything: dict[str, str] = {}
    for name in known_variables():
        value = HARM.get(name, "true" if TRUE.search(name) else STRAY)
        alone = {name: value, **TOGETHER.get(name, {})}
        everything |= alone
        yield Setting(name, alone, FILES)
    keys = {names[0]: HARM.get(str(names[1]), STRAY) for names in VARIABLES.values() if names[0]}
    keys |= {"region": "eu-west-3", "csm_enabled": "true\ncsm_host = 127.0.0.1\ncsm_port = 9"}
    keys |= {name: "true" for name in keys if re.search("use_|ignore_|disable", name)}
    for name, value in {**keys, **FILE_KEYS}.items():
        yield Setting(f"config: {name}", {}, {".aws/config": f"[default]\n{name} = {value}\n"})
    for name in S3_VARIABLES:
        value = "virtual" if name == "addressing_style" else "true"
        yield Setting(f"config: s3.{name}", {}, {".aws/config": f"[default]\ns3 =\n  {name} = {value}\n"})
    yield Setting("credentials file", {}, {".aws/credentials": FILES["elsewhere/credentials"]})
    yield Setting(".boto", {}, {".boto": f"[Credentials]\n{KEYS_ELSEWHERE}"})
    services = {
        f"AWS_ENDPOINT_URL_{name.replace('-', '_').replace(' ', '_').upper()}": STRAY
        for service in boto3.Session().get_available_services()
        for name in {service, "API Gateway" if service == "apigateway" else service}
    }
    yield Setting("AWS_ENDPOINT_URL_<SERVICE>", services, {}, {**CALLS, **MORE_CALLS})
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        for spelled in (name, name.upper()):
            yield Setting(spelled, {spelled: STRAY, "no_proxy": "example.com"}, {})
            yield Setting(f"{spelled}, no NO_PROXY", {spelled: STRAY}, {})
    proxies = dict.fromkeys(("http_proxy", "HTTPS_PROXY", "all_proxy"), STRAY)
    yield Setting("all at once", {**everything, **services, **proxies}, FILES, {**CALLS, **MORE_CALLS})


class Watch:
    """Lets this process reach the cloud's port alone, and notes whatever else it tries."""

    def __init__(self, port: int) -> None:
        self.port, self.elsewhere = port, []
        connect, sendto, lookup = socket.socket.connect, socket.socket.sendto, socket.getaddrinfo

        def checked(address: Any) -> None:
            if isinstance(address, tuple) and address[:2] != ("127.0.0.1", port):
                self.elsewhere.append(f"{address[0]}:{address[1]}")
                raise ConnectionRefusedError("not the local cloud")

        def guarded_connect(self_: Any, address: Any) -> Any:
            checked(address)
            return connect(self_, address)

        def guarded_sendto(self_: Any, data: bytes, *more: Any) -> Any:
            checked(more[-1])
            return sendto(self_, data, *more)

        def guarded_lookup(host: Any, *more: Any, **named: Any) -> Any:
            if host not in ("127.0.0.1", "localhost"):
                self.elsewhere.append(str(host))
                raise socket.gaierror("not the local cloud")
            return lookup(host, *more, **named)

        socket.socket.connect, socket.socket.sendto = guarded_connect, guarded_sendto
        socket.getaddrinfo = guarded_lookup


def attempt(setting: Setting, port: int, home: Path) -> dict[str, Any]:
    """Make the calls under one setting, in this process."""
    from helpers import config

    for name, text in setting.files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text.replace("{home}", str(home)))
    os.environ |= {"HOME": str(home), "LOCAL_CLOUD_HOME": str(home.parents[1])}
    os.environ |= {name: value.replace("{home}", str(home)) for name, value in setting.environ.items()}
    watch, sent, wrong = Watch(port), [], []
    time.sleep = lambda _: None  # between two tries of a call
    config.use_target()

    def note(request: Any, **_: Any) -> None:
        said = {name.lower(): str(value) for name, value in request.headers.items()}
        signed = re.search(r"Credential=(\w+)/\d+/([\w-]+)/", said.get("authorization", ""))
        whose = signed and signed.groups()
        sent.append(request.url)
        if whose != (KEY, "us-east-1") or "x-amz-security-token" in said:
            wrong.append(f"signed as {whose or 'nobody'}")

    for service, operation in setting.services.items():
        try:
            client = boto3.client(service)
            client.meta.events.register("before-send", note)
            getattr(client, operation)()
        except Exception as error:  # whatever a hostile value leads to
            wrong.append(f"{service}: {type(error).__name__}")
    for call in (urllib.request.urlopen, requests.get):
        with contextlib.suppress(OSError):
            call(f"http://127.0.0.1:{port}/", timeout=5).close()
            sent.append(call.__module__)
    wrong += ["a command was executed"] if (home / "executed").exists() else []
    wanted = len(setting.services) + 2
    wrong += [f"{len(sent)} of {wanted} calls reached the cloud"] if len(sent) < wanted else []
    return {"name": setting.name, "elsewhere": watch.elsewhere, "wrong": wrong, "sent": len(sent)}


def main(port: int, folder: Path, untouched: list[str]) -> None:
    """A child process a setting: what one leaves behind does not reach the next."""
    from helpers import environment

    if untouched:
        environment.stay_local = lambda: None
    for number, setting in enumerate(settings()):
        if untouched and setting.name not in untouched:
            continue
        home = folder / str(number)
        home.mkdir(parents=True)
        if not (child := os.fork()):
            try:
                result = attempt(setting, port, home)
            except BaseException as error:  # the child must not go on with the loop
                result = {"name": setting.name, "elsewhere": [], "wrong": [repr(error)], "sent": 0}
            print(json.dumps(result), flush=True)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
