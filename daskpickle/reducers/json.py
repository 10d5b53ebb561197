"""JSON: the scanner of a decoder, and the encoder, that are written in C.

Notes
-----
- Travels: their settings and hooks. `json.JSONDecoder` and `json.JSONEncoder` pickle by themselves,
  the decoder with its scanner.
- Lost: nothing.
- Refused: if a hook cannot travel.
"""

from __future__ import annotations

import json.encoder
import json.scanner
from types import SimpleNamespace
from typing import Any

from daskpickle import register

Scanner: Any = json.scanner.c_make_scanner  # type: ignore[attr-defined]
Encoder: Any = json.encoder.c_make_encoder  # type: ignore[attr-defined]

HOOKS = (
    "strict", "object_hook", "object_pairs_hook", "parse_float", "parse_int", "parse_constant",
)  # fmt: skip
SETTINGS = (
    "markers", "default", "encoder", "indent", "key_separator", "item_separator", "sort_keys",
    "skipkeys",
)  # fmt: skip


@register(
    Scanner,
    travels="its hooks",
    lost="nothing",
    refused="if a hook cannot travel",
    hint="Make the decoder inside the task.",
)
def reduce_scanner(scanner: Any) -> tuple[Any, ...]:
    """Say its hooks."""
    return rebuild_scanner, ({name: getattr(scanner, name) for name in HOOKS},)


def rebuild_scanner(hooks: dict[str, Any]) -> Any:
    """Make it as `json.JSONDecoder` does."""
    return Scanner(SimpleNamespace(**hooks))


@register(
    Encoder,
    travels="its settings",
    lost="nothing",
    refused="if its default function cannot travel",
    hint="Make the encoder inside the task.",
)
def reduce_encoder(encoder: Any) -> tuple[Any, ...]:
    """Say its settings; whether it takes numbers that are not JSON it only shows."""
    try:
        encoder(float("nan"), 0)
    except ValueError:
        allow_nan = False
    else:
        allow_nan = True
    return rebuild_encoder, (*(getattr(encoder, name) for name in SETTINGS), allow_nan)


def rebuild_encoder(*settings: Any) -> Any:
    """Make it as ``JSONEncoder.iterencode`` does."""
    return Encoder(*settings)
