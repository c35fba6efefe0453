"""Keys of the local account: one pair for the reader and one for each IAM role, made from a seed."""

import hashlib
import hmac
import re

from local_cloud.state import State, write_private

READER = "reader"
CONNECT_WORKER = (
    "msk-connect-service"  # runs the Connect worker itself; has rights on its internal topics only
)

ROLE_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)  # IAM's own rule
# Principals of the local cloud itself, and what Kafka takes for everybody: a role would get their rights.
RESERVED = {READER, CONNECT_WORKER, "admin", "broker", "anonymous", "*"}


def is_role_name(name: str) -> bool:
    """Whether a role may have this name here; what is none could add lines to the key table."""
    return bool(ROLE_NAME.fullmatch(name)) and name.lower() not in RESERVED


def role_key(state: State, role: str) -> tuple[str, str]:
    """The access key id and the secret of a role; the same on every call, unknown without the seed."""
    if role == READER:
        return state.secret("reader_key_id"), state.secret("reader_secret")
    made = hmac.new(state.secret("identity_seed").encode(), role.encode(), hashlib.sha256).hexdigest()
    return f"ASIA{made[:16].upper()}", made[16:56]


def write_identities(state: State, roles: list[str]) -> None:
    """Write the broker's key table and an AWS profile file for the reader, the Connect worker and `roles`.

    ValueError for a name that no role may have.
    """
    if wrong := [role for role in roles if not is_role_name(role)]:
        raise ValueError(f"no role may have the name {wrong[0][:64]!r}")
    keys, profiles = [], []
    for role in sorted({READER, CONNECT_WORKER, *roles}):
        key_id, secret = role_key(state, role)
        keys.append(f"{key_id}={secret}:{role}")
        profiles.append(f"[{role}]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n")
    write_private(state.path("iam", "keys.properties"), "\n".join(keys) + "\n")
    write_private(state.path("iam", "credentials"), "\n".join(profiles))
