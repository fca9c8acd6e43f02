"""What a cached result costs: this package beside what else people use.

python -m tests.benchmarks.results --help
"""
