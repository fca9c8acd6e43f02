"""Objects among the values of code: by content, or by the statements that made them."""
