"""What the Java process is started with."""

from __future__ import annotations

import json

import pytest

from qupath_bridge._process_facts import java_environment


@pytest.mark.parametrize(
    ("variable", "given", "collectors"),
    [
        pytest.param(None, "", 1, id="ours"),
        pytest.param("JAVA_TOOL_OPTIONS", "-XX:+UseZGC -Dx=1", 1, id="the user's"),
        pytest.param("PAQUO_JAVA_OPTS", '["-XX:+UseSerialGC"]', 0, id="the user's, for paquo"),
        pytest.param("JAVA_TOOL_OPTIONS", "-Dx=1", 1, id="ours beside the user's options"),
    ],
)
def test_java_is_never_told_two_collectors(monkeypatch, variable, given, collectors):
    for name in ("JAVA_TOOL_OPTIONS", "PAQUO_JAVA_OPTS"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, given)
    options = java_environment(None)["JAVA_TOOL_OPTIONS"]
    assert options.count("GC") == collectors
    assert "-XX:hashCode=3" in options
    if variable == "JAVA_TOOL_OPTIONS":
        assert options.startswith(given)


def test_the_heap_is_bounded_where_asked(monkeypatch):
    monkeypatch.delenv("PAQUO_JAVA_OPTS", raising=False)
    assert json.loads(java_environment(512)["PAQUO_JAVA_OPTS"]) == ["-Xmx512m"]
    assert "PAQUO_JAVA_OPTS" not in java_environment(None)


@pytest.mark.parametrize(
    ("heap_mb", "given", "sizes"),
    [
        pytest.param(1000, "", {"-Xms750m", "-Xmn450m"}, id="a small heap"),
        pytest.param(64_000, "", {"-Xms3000m", "-Xmn1800m"}, id="a large one is not taken at once"),
        pytest.param(1000, "-Xms9m", {"-Xms9m"}, id="the user's own"),
    ],
)
def test_the_heap_is_there_from_the_start(monkeypatch, heap_mb, given, sizes):
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", given)
    options = java_environment(heap_mb)["JAVA_TOOL_OPTIONS"].split()
    assert {option for option in options if option.startswith("-Xm")} == sizes
