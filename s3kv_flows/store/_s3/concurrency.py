"""Tag sets of objects: S3's limits, checked before any request, and search.

The limits are those of the S3 user guide, "Categorizing your objects using tags".
"""

from __future__ import annotations

SEARCHERS = 32
"""Threads of one tag search: its questions are small, and take the time of their way alone."""
