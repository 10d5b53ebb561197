"""``python -m daskpickle``."""

from __future__ import annotations

from daskpickle.cli import main

if __name__ == "__main__":
    main(prog_name="daskpickle")
