"""local_cloud.tools without a network: what is made is whole, and failures say what to do."""

import stat
from pathlib import Path

import pytest

from helpers import java as choice
from helpers.config import ConfigError
from local_cloud import tools


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def java(home: Path, version: str, tells: Path | None = None) -> Path:
    """A program that answers as this version of Java does; returns its home."""
    (home / "bin").mkdir(parents=True)
    told = f"echo '    java.home = {tells or home}' >&2; echo 'openjdk version \"{version}\" 2025' >&2"
    script(home / "bin" / "java", told)
    return home


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine without any Java."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(choice, "INSTALLED", (f"{tmp_path}/jvm/*",))
    monkeypatch.setattr(choice, "FETCHED", tmp_path / "fetched")
    return monkeypatch


@pytest.mark.parametrize(("said", "version"), [("17.0.15", 17), ("1.8.0_392", 8), ("25", 25)])
def test_the_version_of_a_java(tmp_path, said, version):
    assert choice.ask(java(tmp_path / said, said) / "bin" / "java")[0] == version


def test_a_java_that_does_not_run_has_no_version(tmp_path):
    assert choice.ask(tmp_path / "missing") == (0, None)
    assert choice.ask(script(tmp_path / "java", "exit 1")) == (0, None)


def test_every_place_is_looked_at_in_order(tmp_path, bare):
    with pytest.raises(ConfigError, match=r"No Java 17 or newer was found: run `make setup`"):
        choice.java_home()
    fetched = java(tmp_path / "fetched", "25")
    assert choice.java_home() == fetched
    installed = java(tmp_path / "jvm" / "a", "17.0.1")
    assert choice.java_home() == installed
    old, new = java(tmp_path / "old", "11.0.1"), java(tmp_path / "new", "21.0.2")
    bare.setenv("PATH", f"{old}/bin:{new}/bin")
    assert choice.java_home() == new
    for home in (tmp_path / "gone", old):  # a stale one, an old one
        bare.setenv("JAVA_HOME", str(home))
        assert choice.java_home() == new
    named = java(tmp_path / "named", "17")
    for spelled in (named, f"{named}/", f"{named}/bin", f"{named}/bin/"):
        bare.setenv("JAVA_HOME", str(spelled))
        assert choice.java_home() == named


def test_a_script_of_a_version_manager_leads_to_the_java_that_it_starts(tmp_path, bare):
    real = java(tmp_path / "versions" / "21", "21.0.2")
    bare.setenv("PATH", f"{java(tmp_path / 'shims', '21.0.2', tells=real)}/bin")
    assert choice.java_home() == real


def test_an_old_java_is_named(tmp_path, bare):
    old = java(tmp_path / "jvm" / "java-11", "11.0.1")
    with pytest.raises(ConfigError, match=f"Java 11 found at {old}, 17 or newer is needed: run"):
        choice.java_home()


@pytest.mark.parametrize(
    ("jar", "name"),
    [
        ("netty-codec-http2-4.1.126.Final.jar", "netty-codec-http2"),
        ("delta-spark_4.2_2.13-4.4.0.jar", "delta-spark_4.2_2.13"),
        ("s3-2.35.4.jar", "s3"),
    ],
)
def test_library_of_a_jar(jar, name):
    assert tools.library(jar) == name


def test_a_folder_is_made_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "jars"
    with pytest.raises(OSError, match="disk full"), tools.making(folder, "a") as part:
        (part / "half.jar").touch()
        raise OSError("disk full")
    assert not tools.is_made(folder, "a") and not folder.exists()
    with tools.making(folder, "a") as part:
        (part / "whole.jar").touch()
    assert tools.is_made(folder, "a") and not tools.is_made(folder, "b")
    assert [file.name for file in folder.glob("*.jar")] == ["whole.jar"]


def test_stamp_follows_content_and_names(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("x")
    two.write_text("x")
    assert tools.stamp_of([one]) != tools.stamp_of([two])
    before = tools.stamp_of([one, two])
    one.write_text("y")
    assert tools.stamp_of([two, one]) != before


def test_a_registry_that_does_not_answer_is_named_with_the_remedy(tmp_path, monkeypatch):
    java = script(tmp_path / "java", "echo 'java.net.UnknownHostException: repository'; exit 1")
    monkeypatch.setattr(tools, "java", lambda: java)
    monkeypatch.setattr(tools, "TOOLS", tmp_path)
    with pytest.raises(
        tools.ToolError, match=r"(?s)UnknownHostException.*Check the network.*same command again"
    ):
        tools.fetch("kafka", tools.JARS["kafka"], tmp_path, [])


def test_java_fetches_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://user:word@proxy.example:3128")
    assert tools.proxies() == ["-Dhttps.proxyHost=proxy.example", "-Dhttps.proxyPort=3128"]
    monkeypatch.delenv("https_proxy")
    assert tools.proxies() == []
