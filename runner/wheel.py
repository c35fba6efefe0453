"""Write the helpers as a wheel, which the bundle's job installs: `python -m runner.wheel [FOLDER]`.

A bundle runs this where nothing is installed, so only the standard library is used. A build tool
would have to be fetched, and would leave its folders in the project.
"""

import argparse
import base64
import hashlib
import tomllib
import zipfile
from pathlib import Path

from helpers.config import ROOT

WHEEL = "Wheel-Version: 1.0\nGenerator: pinterest-pipeline\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write(package: Path, version: str, folder: Path) -> Path:
    """Write one package as a wheel into a folder; gives the wheel's path."""
    name = f"pinterest_{package.name}"
    info = f"{name}-{version}.dist-info"
    files = {f"{package.name}/{file.name}": file.read_bytes() for file in sorted(package.glob("*.py"))}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    files[f"{info}/WHEEL"] = WHEEL.encode()
    rows = [f"{path},sha256={digest(data)},{len(data)}\n" for path, data in files.items()]
    files[f"{info}/RECORD"] = f"{''.join(rows)}{info}/RECORD,,\n".encode()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        for path, data in files.items():
            out.writestr(path, data)
    return target


def digest(data: bytes) -> str:
    """A file's hash as a wheel's RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def main(arguments: list[str] | None = None) -> None:
    """Write the wheel and print its path."""
    parser = argparse.ArgumentParser(prog="python -m runner.wheel", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    print(write(ROOT / "helpers", project["version"], parser.parse_args(arguments).folder))


if __name__ == "__main__":
    main()
