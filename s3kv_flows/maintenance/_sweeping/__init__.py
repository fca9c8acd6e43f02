"""Delete what a plan names, if it is unchanged since."""
