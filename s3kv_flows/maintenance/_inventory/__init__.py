"""List a store's keys, and look up what listings do not show."""
