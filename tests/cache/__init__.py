"""Whether a run computes: keys, hits, locks."""
