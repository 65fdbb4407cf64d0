"""Side-by-side measurements: `python -m benchmarks`."""

import gan_utils  # noqa: F401  before torch: it sets a value that torch reads once
