"""A proxy that lets requests and answers break, and counts how often."""

from __future__ import annotations

from tests.fire.proxy.faults import Fault
from tests.fire.proxy.messages import Asked
from tests.fire.proxy.proxy import FireProxy

__all__ = ["Asked", "Fault", "FireProxy"]
