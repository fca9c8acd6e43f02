"""Objects among the values of code: containers, instances, how they were made."""
