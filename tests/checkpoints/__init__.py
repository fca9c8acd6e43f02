"""States of long tasks."""
