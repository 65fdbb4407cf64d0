"""The clinic: broken GANs with one fault each, run and recorded beside their sound twins (chapter 10).

`CASES` lists them, `recorded()` holds their runs, and `python -m gan_utils.clinic` makes the runs again.
"""

from .cases import CASES, Case, code, difference, recorded
from .patients import Patient
