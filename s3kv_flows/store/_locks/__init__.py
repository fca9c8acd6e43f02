"""Object Lock: retention, legal holds, and the visibility of locked versions."""
