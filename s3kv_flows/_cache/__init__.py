"""Whether a task run computes: keys, lookups, refusals, single flight."""
