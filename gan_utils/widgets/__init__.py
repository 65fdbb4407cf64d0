"""Demonstrations that move under the reader's hand: in JupyterLab and Colab, and on a page without kernel.

Each is one JavaScript module (in ``js/``) with its data beside it. With a kernel it is an anywidget whose state
Python reads and sets; the same output carries a page of HTML that needs nothing else, so that a static page
moves too, and a still picture with one sentence for places that strip scripts.
"""

from .arithmetic import ArithmeticBoard
from .clinic import Clinic
from .critic import CriticField
from .explorer import LatentExplorer, TorchSlider, export_generator, principal_directions, slerp, torch_slider
from .game import Densities, DiracGAN, LogitGradients
from .inversion import InversionPad
from .laboratory import Laboratory
from .scrubber import Scrubber
