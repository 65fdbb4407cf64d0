"""Generative adversarial networks, small and tested: the package of the book.

    import gan_utils as gu

Plots, widgets and exercises are imported by name (`from gan_utils import plots, widgets`): training needs none of them.
"""

import os as _os

# torch's OpenMP threads spin at their barriers; beside another busy program they wait for a core that they do not
# get, and training falls to a few per cent. A shorter spin than 800 puts them to sleep on a calm machine too, and
# waking them is dear: up to a quarter of the speed at 600. A longer one is slower on a busy machine (see benchmarks/).
# It is read once, when torch is first imported; a setting of yours is respected.
if "OMP_WAIT_POLICY" not in _os.environ:
    _os.environ.setdefault("GOMP_SPINCOUNT", "800")

from .checkpoints import (
    load_generator,
    load_tensors,
    recorded,
    save_generator,
    save_tensors,
    shipped_generator,
    shipped_path,
)
from .data import (
    batches,
    check_images,
    gaussian_1d,
    gaussian_noise,
    grid,
    grid_centres,
    load_mnist,
    load_torchvision,
    mixture,
    ring,
    ring_centres,
    to_tanh_range,
    uniform_noise,
)
from .health import Health, diagnose
from .letters import (
    ALPHABET,
    SLANTS,
    STYLES,
    WEIGHTS,
    LetterClassifier,
    LetterLogits,
    Letters,
    frechet_letters,
    frechet_letters_floor,
    letter_classifier,
    letter_features,
    letter_fonts,
    letter_logits,
    letter_statistics,
    load_letters,
)
from .losses import (
    CHANCE_D_LOSS,
    CHANCE_G_LOSS,
    GanLoss,
    hinge,
    hinge_d_loss,
    least_squares,
    least_squares_d_loss,
    least_squares_g_loss,
    logistic_d_loss,
    minimax,
    minimax_g_loss,
    non_saturating,
    nonsaturating_g_loss,
    wasserstein,
    wasserstein_d_loss,
    wasserstein_g_loss,
)
from .metrics import (
    ModeCount,
    class_histogram,
    classifier_score,
    count_modes,
    density_coverage,
    digit_classifier,
    digit_features,
    digit_logits,
    discrete_kl,
    excess_kurtosis,
    frechet_bias,
    frechet_digits,
    frechet_distance,
    frechet_floor,
    kernel_distance,
    ks_statistic,
    mean_and_covariance,
    nearest_neighbours,
    precision_recall,
    total_variation,
    wasserstein_1d,
)
from .models import (
    ClusteredGenerator,
    ConditionalDiscriminator,
    ConditionalGenerator,
    DigitClassifier,
    MinibatchStd,
    Pack,
    ProjectionDiscriminator,
    classic_discriminator,
    classic_generator,
    clustered_generator,
    conditional_discriminator,
    conditional_generator,
    conv_discriminator,
    conv_generator,
    count_parameters,
    init_weights,
    join_class_planes,
    join_one_hot,
    mlp,
    toy_discriminator,
    toy_generator,
)
from .penalties import (
    SpectralNorm,
    between,
    clip_weights,
    gradient_penalty,
    input_gradient,
    r1_penalty,
    r2_penalty,
    spectrally_normalised,
    zero_centred_penalty,
)
from .runtime import (
    check_finite,
    evaluating,
    frozen,
    keep_freed_memory,
    pick_device,
    seeded,
    write_atomic,
)
from .theory import (
    dirac_eigenvalues,
    dirac_field,
    dirac_run,
    dirac_step,
    game_value,
    js_divergence,
    kl_divergence,
    optimal_discriminator,
    optimal_logit,
    wasserstein_densities,
)
from .training import ExponentialAverage, History, d_step, fit, g_step

keep_freed_memory()

__version__ = "0.1.0"
