"""Sound GANs, each small enough to run in a few seconds: what the clinic plants its faults in.

A patient is a class whose every part is a short method. A case of the clinic (cases.py) is a subclass that replaces
exactly one of them, so that a sick run and its sound one differ by the lines of that method and by nothing else.
The steps are written out, as a reader would write them; a test holds them to be those of `gan_utils.training`.
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import data, losses, metrics, models
from ..checkpoints import shipped_generator
from ..control import prior_percentile
from ..penalties import clip_weights, r1_penalty
from ..runtime import evaluating, frozen, seeded


def bce(logits: Tensor, target: float) -> Tensor:
    """Binary cross-entropy of logits against one label for all."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


class Patient:
    """What all share: `run` trains, measures each `every` steps, and keeps what the page shows."""

    steps, every, batch = 800, 25, 128
    d_steps_per_g = 1
    r1_gamma, lr, betas = 0.1, (1e-3, 1e-3), (0.5, 0.9)
    chance: tuple[float | None, float | None] = (losses.CHANCE_D_LOSS, losses.CHANCE_G_LOSS)
    curve = "W1"  # the figure whose curve is shown
    unit = ""
    floor: float | None = None  # what perfect samples score
    view = "line"
    range: tuple[float, ...] = (-2, 10, 4, 1.25)  # of the picture, from and to; then mean and width of the data
    task = ""  # what was to be learnt

    def __init__(self, seed: int):
        self.stream = seeded(seed)
        weights = seeded(1000 + seed)
        self.G, self.D = self.make_g(weights), self.make_d(weights)
        self.opt_g, self.opt_d = self.make_optimisers()
        self.log: list = []
        self.losses: dict[str, list[float]] = {"d_loss": [], "g_loss": []}
        self.curves: dict[str, list[float]] = {}
        self.left = 0.0
        self.stopped: str | None = None

    # ------------------------------------------------------------------ what a GAN consists of

    def make_g(self, weights: torch.Generator) -> nn.Module:
        raise NotImplementedError

    def make_d(self, weights: torch.Generator) -> nn.Module:
        raise NotImplementedError

    def make_optimisers(self):
        return (torch.optim.Adam(self.G.parameters(), lr=self.lr[0], betas=self.betas),
                torch.optim.Adam(self.D.parameters(), lr=self.lr[1], betas=self.betas))

    def real(self, n: int) -> Tensor:
        raise NotImplementedError

    def noise(self, n: int) -> Tensor:
        raise NotImplementedError

    def d_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return bce(real_logits, 1.0) + bce(fake_logits, 0.0)

    def g_loss(self, fake_logits: Tensor) -> Tensor:
        return bce(fake_logits, 1.0)

    def penalty(self, x: Tensor) -> Tensor:
        return 0.5 * self.r1_gamma * r1_penalty(self.D, x)

    def d_step(self) -> Tensor:
        x, z = self.real(self.batch), self.noise(self.batch)
        fake = self.G(z).detach()
        d_loss = self.d_loss(self.D(x), self.D(fake))
        self.opt_d.zero_grad()
        (d_loss + self.penalty(x)).backward()
        self.opt_d.step()
        return d_loss.detach()

    def g_step(self) -> Tensor:
        z = self.noise(self.batch)
        with frozen(self.D):
            g_loss = self.g_loss(self.D(self.G(z)))
            self.opt_g.zero_grad()
            g_loss.backward()
        self.opt_g.step()
        self.note(g_loss)
        return g_loss.detach()

    def note(self, g_loss: Tensor) -> None:
        self.log.append(g_loss.item())

    def sample(self, z: Tensor) -> Tensor:
        with evaluating(self.G):
            return self.G(z)

    # ------------------------------------------------------------------ what is looked at

    def measure(self) -> dict[str, float]:
        """The figures of this moment; drawn from streams of their own, so that looking changes nothing."""
        raise NotImplementedError

    def look(self) -> list:
        """What is shown of the samples, as whole numbers."""
        raise NotImplementedError

    def run(self) -> "Patient":
        self._note_figures()
        for step in range(1, self.steps + 1):
            try:
                watched = step % self.every == 0
                for _ in range(self.d_steps_per_g):
                    before = _gradients(self.G) if watched else None
                    d_loss = self.d_step()
                    if watched:
                        self.left = float((_gradients(self.G) - before).norm())
                g_loss = self.g_step()
            except RuntimeError as error:
                self.stopped = f"step {step}: {str(error).splitlines()[0]}"
                break
            self.losses["d_loss"].append(float(d_loss))
            self.losses["g_loss"].append(float(g_loss))
            if not math.isfinite(float(d_loss) + float(g_loss)):
                self.stopped = f"step {step}: the loss is nan"
                break
            if watched:
                self._note_figures()
        return self

    def end(self) -> dict[str, float]:
        """Each figure at the end: the median of its last five values, for a single one jumps."""
        last = {name: float(torch.tensor(values[-5:]).median()) for name, values in self.curves.items()}
        last |= {name: sum(values[-100:]) / max(1, len(values[-100:])) for name, values in self.losses.items()}
        return {**last, "steps": len(self.losses["g_loss"])}

    def _note_figures(self) -> None:
        try:
            figures = self.measure()
        except ValueError:  # the samples hold NaN: nothing to be measured
            figures = dict.fromkeys(self.curves, math.nan)
        for name, value in figures.items():
            self.curves.setdefault(name, []).append(float(value))


def _gradients(module: nn.Module) -> Tensor:
    """All gradients of the module as one vector; a missing one counts as 0."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in module.parameters()])


# ------------------------------------------------------------------------------- on the line

class Line(Patient):
    """Noise U(-1, 1) is to become N(4, 1.25^2)."""

    task = "Noise U(-1, 1) is to become N(4, 1.25²). Both networks have two hidden layers of 32; Adam, R1, 800 steps."
    r1_gamma, lr, betas = 1.0, (1e-3, 3e-3), (0.0, 0.9)
    floor = 0.03  # W1 of two samples of 4,000
    mean, std = 4.0, 1.25

    def make_g(self, weights):
        return models.mlp([1, 32, 32, 1], generator=weights)

    def make_d(self, weights):
        return models.mlp([1, 32, 32, 1], generator=weights)

    def real(self, n):
        return data.gaussian_1d(n, generator=self.stream, mean=self.mean, std=self.std)

    def noise(self, n):
        return data.uniform_noise(n, 1, generator=self.stream, low=-1)

    def measure(self):
        stream = seeded(99)
        x = data.gaussian_1d(4000, generator=stream, mean=self.mean, std=self.std)
        fake = self.sample(data.uniform_noise(4000, 1, generator=stream, low=-1))
        with evaluating(self.D):
            logits = self.D(fake)
        return {
            "W1": metrics.wasserstein_1d(fake, x), "mean": fake.mean(), "standard deviation": fake.std(),
            "gradient norm of G": _gradients(self.G).norm(), "gradient that D's step leaves in G": self.left,
            "excess kurtosis": metrics.excess_kurtosis(fake), "largest logit": logits.abs().max(),
            "nodes of old graphs": kept_nodes(self.log),
        }

    def look(self):
        fake = self.sample(data.uniform_noise(4000, 1, generator=seeded(98), low=-1))
        return torch.histc(fake, bins=48, min=self.range[0], max=self.range[1]).int().tolist()


class Near(Line):
    """The data are N(1, .5), near to where G begins."""

    task = "Noise U(-1, 1) is to become N(1, .5²), near to where G begins."
    range = (-1, 3, 1, 0.5)
    mean, std = 1.0, 0.5


class Far(Line):
    """The data are N(12, 1), far from where G begins, and D takes five steps to G's one, with no penalty."""

    task = "Noise is to become N(12, 1), far from where G begins. D takes five steps to each of G's."
    range = (-2, 22, 12, 1)
    mean, std = 12.0, 1.0
    d_steps_per_g, steps, every = 5, 300, 10
    curve = "gradient norm of G"

    def penalty(self, x):
        return torch.zeros(())


class Judge(Line):
    """D alone, with one-sided label smoothing: real N(0, 1) against fakes that stay N(6, 1)."""

    task = "D alone, with one-sided label smoothing: real samples N(0, 1), fakes that stay N(6, 1)."
    range = (-3, 9)
    steps, every = 400, 20
    chance = (None, None)
    curve = "D at x = 6"
    view = "judge"

    def real(self, n):
        return data.gaussian_1d(n, generator=self.stream)

    def noise(self, n):
        return data.gaussian_1d(n, generator=self.stream, mean=6.0)

    def make_g(self, weights):
        return nn.Linear(1, 1)

    def penalty(self, x):
        return torch.zeros(())

    def d_loss(self, real_logits, fake_logits):
        return bce(real_logits, 0.9) + bce(fake_logits, 0.0)

    def d_step(self):
        x, fake = self.real(self.batch), self.noise(self.batch)
        d_loss = self.d_loss(self.D(x), self.D(fake))
        self.opt_d.zero_grad()
        d_loss.backward()
        self.opt_d.step()
        return d_loss.detach()

    def g_step(self):
        with torch.no_grad():
            return self.g_loss(self.D(self.noise(self.batch)))

    def measure(self):
        with evaluating(self.D):
            at = torch.sigmoid(self.D(torch.tensor([[0.0], [6.0]]))).flatten()
        return {"D at x = 6": at[1], "D at x = 0": at[0]}

    def look(self):
        with evaluating(self.D):
            answers = torch.sigmoid(self.D(torch.linspace(-3, 9, 49)[:, None]))
        return answers.flatten().tolist()


def kept_nodes(log: list) -> int:
    """Nodes of old graphs that the noted losses keep alive: those behind the last one, times their number."""
    kept = [getattr(entry, "__self__", entry) for entry in log]
    kept = [entry for entry in kept if isinstance(entry, Tensor) and entry.grad_fn is not None]
    seen, stack = set(), [entry.grad_fn for entry in kept[-1:]]
    while stack:
        node = stack.pop()
        if node is not None and node not in seen:
            seen.add(node)
            stack += [parent for parent, _ in node.next_functions]
    return len(seen) * len(kept)


# ------------------------------------------------------------------------------- in the plane

class Ring(Patient):
    """Eight Gaussians on a ring, standard deviation .05."""

    task = "Noise in two dimensions is to become eight Gaussians on a ring."
    steps, every, batch = 1200, 50, 256
    curve, floor = "modes", 8
    view = "plane"

    def make_g(self, weights):
        return models.mlp([2, 64, 64, 2], generator=weights)

    def make_d(self, weights):
        return models.mlp([2, 64, 64, 1], generator=weights)

    def centres(self):
        angle = 2 * math.pi * torch.arange(8) / 8
        return torch.stack([angle.cos(), angle.sin()], dim=1)

    def real(self, n):
        return data.mixture(n, self.centres(), 0.05, generator=self.stream)

    def noise(self, n):
        return data.gaussian_noise(n, 2, generator=self.stream)

    def count(self, fake):
        return metrics.count_modes(fake, data.ring_centres(8), 0.05)

    def accuracy(self, real_logits, fake_logits):
        right = (real_logits > 0).sum() + (fake_logits < 0).sum()
        return right / (len(real_logits) + len(fake_logits))

    def measure(self):
        stream = seeded(99)
        x = data.mixture(2500, self.centres(), 0.05, generator=stream)
        fake = self.sample(data.gaussian_noise(2500, 2, generator=stream))
        with evaluating(self.D):
            real_logits, fake_logits = self.D(x), self.D(fake)
        found = self.count(fake)
        return {"modes": found.modes, "high quality": found.high_quality,
                "share of the fullest mode": found.shares.max(),
                "accuracy of D": self.accuracy(real_logits, fake_logits)}

    def look(self):
        return points(self.sample(data.gaussian_noise(400, 2, generator=seeded(98))))


class YoungRing(Ring):
    """The same ring after a few steps: a generator that is not good yet, to be counted."""

    task = "The ring of eight again, a hundred and twenty steps after the start."
    steps, every = 120, 5


def points(x: Tensor) -> list:
    """Points of the plane in hundredths, as pairs."""
    return (x.clamp(-1.8, 1.8) * 100).round().int().tolist()


class Classes(Ring):
    """G is told which of the eight groups to make; D sees the pair."""

    task = "The ring of eight with classes: G is told which group to make, D sees sample and class."
    classes, latent_dim = 8, 64
    steps, every, batch = 600, 25, 128
    curve, floor = "share of the class asked for", 1.0

    heard = 10**9  # the step at which nine of ten were what was asked for

    def make_g(self, weights):
        return models.mlp([self.latent_dim + 8, 64, 64, 2], generator=weights)

    def make_d(self, weights):
        return models.mlp([2 + 8, 64, 64, 1], generator=weights)

    def pair(self, y):
        return 8 * F.one_hot(y, 8).float()

    def draw(self, n, stream):
        y = torch.randint(8, (n,), generator=stream)
        x = self.centres()[y] + 0.05 * torch.randn(n, 2, generator=stream)
        z = torch.randn(n, self.latent_dim, generator=stream)
        return torch.cat([x, F.one_hot(y, 8)], dim=1), torch.cat([z, self.pair(y)], dim=1), y

    def d_step(self):
        pairs, code, y = self.draw(self.batch, self.stream)
        fake = torch.cat([self.G(code).detach(), F.one_hot(y, 8)], dim=1)
        d_loss = self.d_loss(self.D(pairs), self.D(fake))
        self.opt_d.zero_grad()
        (d_loss + self.penalty(pairs)).backward()
        self.opt_d.step()
        return d_loss.detach()

    def told(self, fake, y):
        return torch.cat([fake, F.one_hot(y, 8)], dim=1)

    def g_step(self):
        _, code, y = self.draw(self.batch, self.stream)
        with frozen(self.D):
            g_loss = self.g_loss(self.D(self.told(self.G(code), y)))
            self.opt_g.zero_grad()
            g_loss.backward()
        self.opt_g.step()
        return g_loss.detach()

    def measure(self):
        _, code, y = self.draw(2500, seeded(99))
        fake = self.sample(code)
        found = metrics.count_modes(fake, data.ring_centres(8), 0.05)
        nearest = torch.cdist(fake, data.ring_centres(8)).argmin(dim=1)
        share = float((nearest == y).float().mean())
        done = len(self.losses["g_loss"])
        if share > 0.9:
            self.heard = min(self.heard, done)
        return {"share of the class asked for": share, "modes": found.modes, "high quality": found.high_quality,
                "steps until 90 %": min(self.heard, self.steps)}

    def look(self):
        _, code, _ = self.draw(400, seeded(98))
        return points(self.sample(code))


# ------------------------------------------------------------------------------- a critic alone

class Critic(Patient):
    """A critic with a gradient penalty estimates a distance: real N((3, 0), I), fakes that stay N(0, I). W1 is 3."""

    task = "A critic alone, with a gradient penalty, is to measure the distance between N((3, 0), 1) and N(0, 1): 3."
    range = (-3, 6)
    steps, every, batch = 400, 10, 64
    chance = (None, None)
    curve, floor = "estimate of W1", 3.0
    view = "critic"

    def make_g(self, weights):
        return nn.Linear(2, 2)

    def make_d(self, weights):
        return models.mlp([2, 32, 32, 1], generator=weights)

    def make_optimisers(self):
        return None, torch.optim.Adam(self.D.parameters(), lr=2e-3, betas=(0.0, 0.9))

    def noise(self, n):
        return data.gaussian_noise(n, 2, generator=self.stream)

    def real(self, n):
        return self.noise(n) + torch.tensor([3.0, 0.0])

    def mix(self, x, fake):
        share = torch.rand(len(x), 1, generator=self.stream)
        return (share * x + (1 - share) * fake).requires_grad_(True)

    def gradient(self, between):
        score = self.D(between).sum()
        return torch.autograd.grad(score, between, create_graph=True)[0]

    def slope(self, gradient):
        return gradient.norm(dim=1)

    def objective(self, gap, penalty):
        return gap - 10 * penalty  # the critic makes it large

    def d_step(self):
        x, fake = self.real(self.batch), self.noise(self.batch)
        gap = self.D(x).mean() - self.D(fake).mean()
        slope = self.slope(self.gradient(self.mix(x, fake)))
        objective = self.objective(gap, (slope - 1).square().mean())
        self.opt_d.zero_grad()
        (-objective).backward()
        self.opt_d.step()
        return -gap.detach()

    def g_step(self):
        with torch.no_grad():
            return -self.D(self.noise(self.batch)).mean()

    def measure(self):
        stream = seeded(99)
        fake = data.gaussian_noise(2000, 2, generator=stream)
        x = data.gaussian_noise(2000, 2, generator=stream) + torch.tensor([3.0, 0.0])
        share = torch.rand(2000, 1, generator=stream)
        between = (share * x + (1 - share) * fake).requires_grad_(True)
        self.D.eval()  # a sample's own slope: no batch mates
        slope = torch.autograd.grad(self.D(between).sum(), between)[0].norm(dim=1).median()
        with torch.no_grad():
            gap = self.D(x).mean() - self.D(fake).mean()
        self.D.train()
        return {"estimate of W1": gap, "slope between real and fake": slope, "points off their segment": self.astray()}

    def astray(self) -> float:
        """Share of mixed points that lie on no segment between a real sample and its fake."""
        state, self.stream = self.stream, seeded(96)
        x, fake = self.real(2000), self.noise(2000)
        with torch.no_grad():
            between = self.mix(x, fake).detach()
        self.stream = state
        detour = (x - between).norm(dim=1) + (between - fake).norm(dim=1) - (x - fake).norm(dim=1)
        return float((detour > 1e-3).float().mean())

    def look(self):
        line = torch.stack([torch.linspace(-3, 6, 46), torch.zeros(46)], dim=1)
        with evaluating(self.D):
            scores = self.D(line).flatten()
        return (scores - scores[15]).tolist()  # 0 at the fakes' centre


class ZeroCritic(Critic):
    """The same, with a last layer that begins at zero."""

    task = "The critic with a gradient penalty again; its last layer begins at zero."
    def make_d(self, weights):
        D = models.mlp([2, 32, 32, 1], generator=weights)
        nn.init.zeros_(D[-1].weight)
        return D


class ClippedCritic(Critic):
    """The same distance by weight clipping: every weight is kept within .1."""

    task = "The critic without a penalty: its weights are to be kept within .1."
    floor = None

    def d_step(self):
        x, fake = self.real(self.batch), self.noise(self.batch)
        gap = self.D(x).mean() - self.D(fake).mean()
        self.opt_d.zero_grad()
        (-gap).backward()
        self.opt_d.step()
        clip_weights(self.D, 0.1)
        return -gap.detach()

    def measure(self):
        largest = max(float(p.detach().abs().max()) for p in self.D.parameters())
        return {**super().measure(), "largest weight": largest}


# ------------------------------------------------------------------------------- digits

@functools.cache
def digits() -> Tensor:
    """The first 20,000 training digits."""
    return data.load_mnist("train")[0][:20_000].clone()


class Digits(Patient):
    """A small convolutional pair learns handwritten digits."""

    task = "A small convolutional pair learns handwritten digits for 150 steps."
    steps, every, batch = 150, 25, 64
    curve = "Fréchet distance"
    view = "digits"

    def norm(self, channels):
        return nn.BatchNorm2d(channels)

    def make_g(self, weights):
        G = nn.Sequential(
            nn.Linear(32, 32 * 49, bias=False), nn.Unflatten(1, (32, 7, 7)), self.norm(32), nn.ReLU(),
            nn.ConvTranspose2d(32, 16, kernel_size=4, stride=2, padding=1, bias=False), self.norm(16), nn.ReLU(),
            nn.ConvTranspose2d(16, 1, kernel_size=4, stride=2, padding=1), nn.Tanh())
        self.start(models.init_weights(G, weights), weights)
        return G

    def start(self, G, weights):
        for layer in G.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.data.normal_(1.0, 0.02, generator=weights)

    def make_d(self, weights):
        return models.conv_discriminator(width=8, generator=weights)

    def make_optimisers(self):
        return (torch.optim.Adam(self.G.parameters(), lr=2e-3, betas=(0.5, 0.99)),
                torch.optim.Adam(self.D.parameters(), lr=1e-3, betas=(0.5, 0.99)))

    def penalty(self, x):
        return torch.zeros(())

    def real(self, n):
        return digits()[torch.randint(20_000, (n,), generator=self.stream)]

    def noise(self, n):
        return data.gaussian_noise(n, 32, generator=self.stream)

    def measure(self):
        stream = seeded(99)
        z = data.gaussian_noise(1000, 32, generator=stream)
        fake = self.sample(z)
        same = [self.sample(torch.cat([z[:8], data.gaussian_noise(8, 32, generator=stream)]))[:8] for _ in range(2)]
        self.first_contrast = getattr(self, "first_contrast", float(fake.std()))
        return {"Fréchet distance": metrics.frechet_digits(fake), "contrast": fake.std(),
                "contrast at the start": self.first_contrast,
                "change with other batch mates": (same[0] - same[1]).abs().mean() / same[0].std(),
                "spread after BatchNorm": self.spread(z[:64])}

    def spread(self, z) -> float:
        """Standard deviation behind the first BatchNorm, in training mode; its state is left alone."""
        with torch.no_grad(), frozen(self.G):
            h = self.G[:3](z)
        return float(((h.detach() - self.G[2].bias[:, None, None]) / self.G[2].weight[:, None, None]).detach().std())

    def look(self):
        z = data.gaussian_noise(16, 32, generator=seeded(98))
        return self.sample(z)


# ------------------------------------------------------------------------------- walks of a code

class Walk(Patient):
    """The shipped generator of digits is left as it is; codes z are moved until the classifier reads a 3."""

    task = "A trained generator of digits stays as it is; its codes are moved until a classifier reads a 3."
    steps, every, batch = 40, 2, 64
    chance = (None, None)
    curve, floor = "length of z", 8.0
    view = "digits"

    def make_g(self, weights):
        return shipped_generator().eval().requires_grad_(False)

    def make_d(self, weights):
        return metrics.digit_classifier()

    def make_optimisers(self):
        self.z = data.gaussian_noise(self.batch, 64, generator=self.stream)
        return None, None

    def score(self, z):
        return F.cross_entropy(self.D(self.G(z)), torch.full((len(z),), 3), reduction="sum")

    def move(self, z):
        z = z.detach().requires_grad_(True)  # a fresh leaf: its gradient starts at nothing
        self.score(z).backward()
        return z - 1.0 * z.grad

    def pull(self, z):
        return z * (8 / z.norm(dim=1, keepdim=True))  # back to the shell on which codes lie

    def d_step(self):
        with torch.no_grad():
            return self.score(self.z) / len(self.z)

    def g_step(self):
        self.z = self.pull(self.move(self.z))
        return self.d_step()

    def measure(self):
        with torch.no_grad():
            images = self.G(self.z)
            features = self.D.features(images)
            read = self.D.head(features).argmax(dim=1)
        z = self.z.detach()
        return {"length of z": z.norm(dim=1).median(), "percentile of its length": 100 * prior_percentile(z).mean(),
                "read as a 3": (read == 3).float().mean(), "distance to real 3s": nearest_three(features)}

    def look(self):
        with torch.no_grad():
            return self.G(self.z[:16].detach())


class FreeWalk(Walk):
    """The same without a pull back, by plain gradient steps."""

    task = "A trained generator of digits stays as it is; its codes are moved in small steps towards a 3."
    def pull(self, z):
        return z

    def move(self, z):
        z = z.detach().requires_grad_(True)  # a fresh leaf: its gradient starts at nothing
        self.score(z).backward()
        return z - 0.1 * z.grad


@functools.cache
def _threes() -> Tensor:
    images, labels = data.load_mnist("train")
    return metrics.digit_features(images[:20_000][labels[:20_000] == 3])


def nearest_three(features: Tensor) -> float:
    """Mean distance of features to the nearest of some 2,000 real 3s."""
    return float(torch.cdist(features, _threes()).min(dim=1).values.mean())


class Halfway(Patient):
    """Pictures half-way between two codes, of the shipped generator."""

    task = "Pictures half-way between two random codes of a trained generator of digits."
    steps, every = 0, 1
    chance = (None, None)
    curve, floor = "length of z", 8.0
    view = "digits"

    def make_g(self, weights):
        return shipped_generator().eval().requires_grad_(False)

    def make_d(self, weights):
        return metrics.digit_classifier()

    def make_optimisers(self):
        return None, None

    def between(self, a, b):
        angle = torch.acos((F.normalize(a) * F.normalize(b)).sum(dim=1, keepdim=True))
        return (a + b) * torch.sin(angle / 2) / torch.sin(angle)

    def codes(self, n):
        a, b = torch.randn(2, n, 64, generator=self.stream)
        return self.between(a, b)

    def images_to_score(self):
        return 2000

    def measure(self):
        z = self.codes(self.images_to_score())
        images = self.sample(z)
        sure = metrics.digit_logits(images).softmax(dim=1).max(dim=1).values
        return {"length of z": z.norm(dim=1).median(), "percentile of its length": 100 * prior_percentile(z).mean(),
                "Fréchet distance": metrics.frechet_digits(images), "sureness of the classifier": sure.mean()}

    def look(self):
        return self.sample(self.codes(16))


