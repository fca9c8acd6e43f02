"""Rules, plans, sweeps and lifecycle rules."""
