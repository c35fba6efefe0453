"""local_cloud.tools without a network: what is made is whole, and failures say what to do."""

import stat
from pathlib import Path

import pytest

from local_cloud import java_runtime, tools


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_392"', 8),
        ('openjdk version "25"', 25),
    ],
)
def test_java_version(tmp_path, said, version):
    assert java_runtime.java_version(script(tmp_path / "java", f"echo '{said}' >&2")) == version


def test_a_java_that_does_not_run_has_no_version(tmp_path):
    assert java_runtime.java_version(tmp_path / "missing") == 0
    assert java_runtime.java_version(script(tmp_path / "java", "exit 1")) == 0


def test_an_old_java_is_passed_over(tmp_path, monkeypatch):
    script(tmp_path / "java", "echo 'openjdk version \"11.0.1\"' >&2")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert java_runtime.installed_java() is None


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
