"""The real Kafka Connect, as MSK Connect runs it: the worker has an identity, and each connector its own.

A plugin is a folder in PLUGINS with its jars. `s3-sink` there is ours; another one, such as Confluent's
S3 sink, that is unpacked beside it is found at the next start.
"""

import base64
import urllib.request

from local_cloud.identity import CONNECT_WORKER, role_key
from local_cloud.part import Part
from local_cloud.parts.kafka import REGION, WORKER_NAMES, as_properties, java_command, unpack_in
from local_cloud.state import TOOLS, State, write_private

PLUGINS = TOOLS / "plugins"
OUR_PLUGIN = "s3-sink"
REST_USER = "control"  # the only caller of the REST interface
CLIENTS = (
    "consumer.",
    "producer.",
    "admin.",
)  # prefixes of the settings that connectors' own clients start from
LOGIN = 'software.amazon.msk.auth.iam.IAMLoginModule required awsProfileName="{role}";'


def properties(state: State) -> dict[str, str]:
    """The worker's settings."""
    iam = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "AWS_MSK_IAM",
        "sasl.client.callback.handler.class": "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
    }
    plugins = [folder.name for folder in PLUGINS.glob("[!.]*/")]
    settings = {
        "bootstrap.servers": f"127.0.0.1:{state.port('kafka')}",
        "group.id": f"{WORKER_NAMES}workers",
        **iam,
        "sasl.jaas.config": LOGIN.format(role=CONNECT_WORKER),
        # Connectors bring their own login: without one they may do nothing at all.
        **{prefix + name: value for prefix in CLIENTS for name, value in iam.items()},
        "connector.client.config.override.policy": "All",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        "plugin.path": str(PLUGINS),
        # Ours names its classes in a service file; of others every jar has to be looked into.
        "plugin.discovery": "service_load" if plugins == [OUR_PLUGIN] else "hybrid_warn",
        "listeners": f"http://127.0.0.1:{state.port('connect')}",
        "rest.extension.classes": (
            "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension"
        ),
        "offset.flush.interval.ms": "5000",
        # A worker or a task that was killed is missed after seconds, not minutes.
        "scheduled.rebalance.max.delay.ms": "0",
        "session.timeout.ms": "6000",
        "heartbeat.interval.ms": "2000",
        "consumer.session.timeout.ms": "6000",
        "consumer.heartbeat.interval.ms": "2000",
        # Three topics of one partition each go to three tasks, not to one.
        "consumer.partition.assignment.strategy": "org.apache.kafka.clients.consumer.RoundRobinAssignor",
    }
    for kind in ("config", "offset", "status"):
        settings[f"{kind}.storage.topic"] = f"{WORKER_NAMES}{kind}s"
        settings[f"{kind}.storage.replication.factor"] = "1"
        if kind != "config":  # that one has always a single partition
            settings[f"{kind}.storage.partitions"] = "1"
    return settings


def part(state: State) -> Part:
    """The distributed worker; its environment holds what connectors need to reach S3."""
    config, users, jaas = (state.path("connect", f) for f in ("worker.properties", "users", "jaas.conf"))
    write_private(config, as_properties(properties(state)))
    write_private(users, as_properties({REST_USER: state.secret("connect_rest")}))
    module = "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule"
    write_private(jaas, f'KafkaConnect {{ {module} required file="{users}"; }};\n')
    key_id, secret = role_key(state, CONNECT_WORKER)
    env = {
        "AWS_REGION": REGION,
        "AWS_SHARED_CREDENTIALS_FILE": str(state.path("iam", "credentials")),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{state.port('aws')}",
        "AWS_ACCESS_KEY_ID": key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
    }
    options = (f"-Djava.security.auth.login.config={jaas}", unpack_in(state, "connect"))
    main = "org.apache.kafka.connect.cli.ConnectDistributed"
    return Part(
        "connect",
        "real",
        "Kafka Connect with the S3 sink",
        java_command(main, str(config), heap_mb=256, options=options),
        ready=lambda: ready(state),
        ports=("connect",),
        needs=("control",),
        env=env,
        folder=state.path("connect"),
    )


def ready(state: State) -> None:
    """Raise unless the worker has joined its group and reads its connectors."""
    login = base64.b64encode(f"{REST_USER}:{state.secret('connect_rest')}".encode()).decode()
    url = f"http://127.0.0.1:{state.port('connect')}/connectors"
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {login}"})
    urllib.request.urlopen(request, timeout=5).close()
