"""Side-by-side measurements against the loops that tutorials teach. Run with `make bench` or `python -m benchmarks`."""
