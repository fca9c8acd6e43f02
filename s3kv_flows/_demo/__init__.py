"""The demo: a pipeline on real data, and the servers it runs on."""
