"""Keys of the local account: one pair for the reader and one for each IAM role, made from a seed."""

import hashlib
import hmac

from local_cloud.state import State, write_private

READER = "reader"
CONNECT_WORKER = (
    "msk-connect-service"  # runs the Connect worker itself; has rights on its internal topics only
)


def role_key(state: State, role: str) -> tuple[str, str]:
    """The access key id and the secret of a role; the same on every call, unknown without the seed."""
    if role == READER:
        return state.secret("reader_key_id"), state.secret("reader_secret")
    made = hmac.new(state.secret("identity_seed").encode(), role.encode(), hashlib.sha256).hexdigest()
    return f"ASIA{made[:16].upper()}", made[16:56]


def write_identities(state: State, roles: list[str]) -> None:
    """Write the broker's key table and an AWS profile file for the reader, the Connect worker and `roles`."""
    keys, profiles = [], []
    for role in sorted({READER, CONNECT_WORKER, *roles}):
        key_id, secret = role_key(state, role)
        keys.append(f"{key_id}={secret}:{role}")
        profiles.append(f"[{role}]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n")
    write_private(state.path("iam", "keys.properties"), "\n".join(keys) + "\n")
    write_private(state.path("iam", "credentials"), "\n".join(profiles))
