"""Run the core paths in this process, where nothing calls ``daskpickle.install``.

Prints one line of JSON per path and nesting: what arrived, or why nothing did.
"""

from __future__ import annotations

import json
import signal
import threading
from types import FrameType

from .clusters import local_cluster
from .paths import CASES
from .things import SECONDS, maker


def stop(signum: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"Nothing arrived in {SECONDS} s.")


def main() -> None:
    signal.signal(signal.SIGALRM, stop)
    with local_cluster() as client:
        for case in CASES:
            for nesting in case.nestings if case.core else ():
                signal.alarm(SECONDS)
                try:
                    arrived = case.run(client, maker(nesting, threading.Lock))
                except TimeoutError:
                    raise  # the cluster hangs, and so would the rest
                except Exception as exc:
                    arrived = f"{type(exc).__name__}: {exc}"
                finally:
                    signal.alarm(0)
                print(json.dumps({f"{case.id}-{nesting}": arrived}), flush=True)


if __name__ == "__main__":
    main()
