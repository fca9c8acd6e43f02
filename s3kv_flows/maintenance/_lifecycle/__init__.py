"""Carry out cleanup rules as S3 lifecycle rules."""
