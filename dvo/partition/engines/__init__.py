"""Engines: where operations run. All give the same answers, bit for bit."""

from dvo.partition.engines.engine import Engine
from dvo.partition.engines.inline import InlineEngine
from dvo.partition.engines.open_engine import KINDS, open_engine
from dvo.partition.engines.processes import ProcessEngine

__all__ = [
    "KINDS",
    "Engine",
    "InlineEngine",
    "ProcessEngine",
    "open_engine",
]
