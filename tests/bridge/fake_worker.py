"""A worker without Java: speaks the protocol, and misbehaves as it is told. Run as a process."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

#: Whoever waits for the end of it hangs.
AN_HOUR_S = 3600.0


def send(**event: Any) -> None:
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    if "silent" in sys.argv:
        time.sleep(AN_HOUR_S)
    if "failing" in sys.argv:
        send(event="failed", message="No module named 'paquo'")
        sys.exit(1)
    print("QuPath says hello where it should not")
    send(id=None, event="ready", qupath="0.0", pid=os.getpid())
    for line in sys.stdin:
        request = json.loads(line)
        key, command, values = request["id"], request["command"], request["arguments"]
        if command == "crash":
            print("last words of Java", file=sys.stderr, flush=True)
            os._exit(int(values.get("code", 7)))
        if command == "hang":
            send(id=key, event="progress", message="hanging")
            time.sleep(AN_HOUR_S)
        if command == "raise":
            send(
                id=key,
                event="error",
                kind="java.io.EOFException",
                message="java.io.EOFException: cut",
            )
            continue
        if command == "babble":
            print('no JSON\n[1, 2]\n"text"\n{"half": ', flush=True)
            send(id=key - 1, event="done", result={"wrong": 1})
        if command == "grow":
            block = bytearray(values["mb"] << 20)
            block[::4096] = b"x" * len(block[::4096])
            time.sleep(AN_HOUR_S)
        send(id=key, event="progress", message="working")
        send(id=key, event="done", result={"pid": os.getpid(), **values})
