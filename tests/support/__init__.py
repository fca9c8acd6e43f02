"""Helpers of tests: servers, proxies, processes."""
