"""Run a command on a machine that stands still now and then, as a busy one does.

A test that looks for what is so for a moment alone, or that waits for a time and not for a state,
fails here sooner or later: ``python scripts/stutter.py pytest -m gui tests/plugin``. The seed of
the pauses is told; ``SEED=5`` gives them again, though not the same scheduling.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

#: Seconds, least and most.
_STANDS_STILL = (0.05, 0.5)
_RUNS = (0.02, 0.3)


def main(command: list[str]) -> int:
    """Exit status of a command whose whole process group is stopped and continued until it ends."""
    seed = int(os.environ.get("SEED", random.randrange(1000)))
    print(f"SEED={seed}", file=sys.stderr)
    pauses = random.Random(seed)
    work = subprocess.Popen(command, start_new_session=True)
    try:
        while work.poll() is None:
            time.sleep(pauses.uniform(*_RUNS))
            os.killpg(work.pid, signal.SIGSTOP)
            time.sleep(pauses.uniform(*_STANDS_STILL))
            os.killpg(work.pid, signal.SIGCONT)
    except ProcessLookupError:  # it has ended
        pass
    except KeyboardInterrupt:
        os.killpg(work.pid, signal.SIGKILL)
    return work.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
