"""What the names in reached code stand for, in the running process."""
