"""What the walked code itself changes, and how that counts."""
