"""What a module's text runs when it is imported, statement by statement."""
