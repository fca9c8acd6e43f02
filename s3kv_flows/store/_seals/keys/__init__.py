"""The keys of seals: texts, files, whom to trust."""
