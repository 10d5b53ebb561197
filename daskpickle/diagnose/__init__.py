"""Diagnosis: what would travel, how, and at what cost. Reads, and never sends anything."""

from __future__ import annotations

from daskpickle.diagnose.checks import Finding, Report, check
from daskpickle.diagnose.sizes import Explanation, Node, explain

__all__ = ["Explanation", "Finding", "Node", "Report", "check", "explain"]
