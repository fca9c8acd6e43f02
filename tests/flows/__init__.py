"""Scheduled flows and tasks."""
