"""The identity of contents: values by type and content, whatever their history."""
