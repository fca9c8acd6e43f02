"""What a user waits for: a whole cached task run, beside a run that does nothing."""
