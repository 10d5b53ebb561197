"""Dask's configuration: the keys of ``daskpickle.yaml``."""

from __future__ import annotations

from importlib.resources import files

import dask.config
import yaml
from dask.utils import parse_bytes, parse_timedelta

from daskpickle.handles import settings
from daskpickle.policy import Policy, set_default_policy

__all__ = ["apply"]


def apply() -> None:
    """Make what ``daskpickle.*`` says the settings and the default policy of this process."""
    text = files(__package__).joinpath("daskpickle.yaml").read_text()
    dask.config.update_defaults(yaml.safe_load(text))
    timeout = dask.config.get("daskpickle.handles.idle-timeout")
    settings.idle_timeout = None if timeout is None else parse_timedelta(timeout)
    settings.limit = int(dask.config.get("daskpickle.handles.limit"))
    settings.contents_limit = parse_bytes(dask.config.get("daskpickle.files.contents-limit"))
    set_default_policy(Policy(dask.config.get("daskpickle.actions") or {}))
