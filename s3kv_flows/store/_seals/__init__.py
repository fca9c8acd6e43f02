"""Seals: signatures that say who wrote an object. Pure, no request."""
