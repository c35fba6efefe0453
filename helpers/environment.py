"""An environment in which every call of the local target stays here, whatever the reader's shell holds."""

import os
from collections.abc import Mapping

# Where an AWS SDK looks for accounts, endpoints and files. The local cloud sets its own afterwards.
STRAY = ("AWS_", "BOTO_", "BOTOCORE_")
NOWHERE = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
HERE = ("127.0.0.1", "localhost")  # never asked of a proxy


def local(environ: Mapping[str, str]) -> dict[str, str]:
    """A copy without any AWS setting of the reader's, in which this machine's own addresses go to no proxy.

    Proxies for all other addresses stay: packages and jars are fetched through them.
    """
    kept = {name: value for name, value in environ.items() if not name.upper().startswith(STRAY)}
    listed = [kept.get(name, "") for name in ("no_proxy", "NO_PROXY")]
    hosts = [host.strip() for text in listed for host in text.split(",") if host.strip()]
    # A lone star means every host, and only when nothing stands beside it.
    text = "*" if "*" in listed else ",".join(dict.fromkeys([*hosts, *HERE]))
    return {**kept, **NOWHERE, **_locale(kept), "no_proxy": text, "NO_PROXY": text}


def _locale(environ: Mapping[str, str]) -> dict[str, str]:
    """A locale that knows all letters, where the present one does not: Java takes file names from it."""
    present = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "C"
    return {} if "utf" in present.lower() else {"LC_ALL": "C.UTF-8"}


def stay_local() -> None:
    """Make this process's own environment such a one; what it starts later inherits it."""
    clean = local(os.environ)
    for name in os.environ.keys() - clean.keys():
        del os.environ[name]
    os.environ.update(clean)
