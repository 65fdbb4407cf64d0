"""MNIST inside the package, and samplers against the laws that they claim."""

import math
import shutil
from types import SimpleNamespace

import pytest
import torch
from torch.testing import assert_close

import gan_utils as gu
from gan_utils import data


@pytest.fixture(scope="module")
def held_out():
    return gu.load_mnist("test")


def test_mnist_is_whole(held_out):
    """Shapes and counts as published: 10,000 test digits, 980 zeros to 1,135 ones; background -1, ink up to 1."""
    images, labels = held_out
    assert images.shape == (10_000, 1, 28, 28) and images.dtype == torch.float32
    assert labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert float(images.min()) == -1.0 and float(images.max()) == 1.0
    assert int(labels[0]) == 7 and labels.dtype == torch.int64


def test_mnist_training_set():
    images, labels = gu.load_mnist("train")
    assert images.shape == (60_000, 1, 28, 28)
    assert labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    # published mean of pixels in [0, 1]: .1307
    assert float((images.mean() + 1) / 2) == pytest.approx(0.1307, abs=5e-5)


def test_mnist_bad_split():
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'val'"):
        gu.load_mnist("val")


def test_mnist_missing_and_damaged(tmp_path):
    with pytest.raises(FileNotFoundError, match="t10k-images-idx3-ubyte.xz is missing.*pack_mnist"):
        gu.load_mnist("test", folder=tmp_path)
    source = gu.runtime.Path(data.__file__).parent / "data_files"
    for name in ("t10k-images-idx3-ubyte.xz", "t10k-labels-idx1-ubyte.xz"):
        shutil.copy(source / name, tmp_path)
    whole = (tmp_path / "t10k-images-idx3-ubyte.xz").read_bytes()
    (tmp_path / "t10k-images-idx3-ubyte.xz").write_bytes(whole[:1000])
    with pytest.raises(ValueError, match="t10k-images-idx3-ubyte.xz is damaged"):
        gu.load_mnist("test", folder=tmp_path)
    # a whole file of other content: the labels under the images' name
    shutil.copy(tmp_path / "t10k-labels-idx1-ubyte.xz", tmp_path / "t10k-images-idx3-ubyte.xz")
    with pytest.raises(ValueError, match="md5 differs"):
        gu.load_mnist("test", folder=tmp_path)


def test_tanh_range_ends_and_middle():
    """0 -> -1, 255 -> 1, and 127.5 would be 0: slope 2/255."""
    assert_close(gu.to_tanh_range(torch.tensor([0, 51, 255], dtype=torch.uint8)), torch.tensor([-1.0, -0.6, 1.0]))
    with pytest.raises(ValueError, match="must be uint8"):
        gu.to_tanh_range(torch.zeros(3))


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (torch.rand(4, 1, 28, 28), r"needs \[-1, 1\] for tanh: use 2 \* x - 1"),
        (torch.eye(28).expand(4, 1, 28, 28), r"\[0.00, 1.00\], needs \[-1, 1\] for tanh: use 2 \* x - 1"),
        (torch.rand(4, 1, 28, 28) * 255, r"scale 0..255 by x / 127.5 - 1"),
        (torch.full((4, 1, 28, 28), 1.01), r"\[1.01, 1.01\], needs \[-1, 1\]: scale"),
        (torch.full((4, 1, 28, 28), -1.01), r"\[-1.01, -1.01\], needs \[-1, 1\]: scale"),
        (torch.zeros(4, 28, 28), r"shape \(4, 28, 28\), needs \(n, 1, 28, 28\)"),
        (torch.zeros(0, 1, 28, 28), "is empty"),
        (torch.full((2, 1, 28, 28), math.nan), "1568 NaN or infinite values of 1568"),
    ],
)
def test_images_that_are_refused(images, says):
    with pytest.raises(ValueError, match=says) as error:
        gu.check_images(images)
    assert "\n" not in str(error.value)


def test_images_that_pass(held_out):
    gu.check_images(held_out[0][:10])
    gu.check_images(held_out[0][:10] * 1.0005)  # what resizing leaves


def test_torchvision_names_and_failed_download(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="must be 'FashionMNIST' or 'KMNIST', got 'CIFAR10'"):
        gu.load_torchvision("CIFAR10", tmp_path)
    from torchvision import datasets

    def refuse(*_, **__):
        raise RuntimeError("HTTP Error 403: Forbidden\nand more")

    monkeypatch.setattr(datasets, "KMNIST", refuse)
    with pytest.raises(OSError, match=r"KMNIST could not be .*\(HTTP Error 403: Forbidden\).*try once") as error:
        gu.load_torchvision("KMNIST", tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("split", ["train", "test"])
def test_torchvision_split_and_range(split, tmp_path, monkeypatch):
    """What torchvision would have downloaded, by a stand-in: the split asked for, in [-1, 1], labels int64."""
    from torchvision import datasets

    def stand_in(root, *, train, download):
        pixels = torch.tensor([0, 255], dtype=torch.uint8).repeat_interleave(784).view(2, 28, 28)
        return SimpleNamespace(data=pixels, targets=torch.tensor([1, 2], dtype=torch.int32) + 5 * train)

    monkeypatch.setattr(datasets, "FashionMNIST", stand_in)
    images, labels = gu.load_torchvision("FashionMNIST", tmp_path, split=split)
    assert images.shape == (2, 1, 28, 28) and images[:, 0, 0, 0].tolist() == [-1.0, 1.0]
    assert labels.dtype == torch.int64 and labels.tolist() == ([6, 7] if split == "train" else [1, 2])


def test_batches_visit_everything_once_an_epoch():
    x = torch.arange(10.0).unsqueeze(1)
    stream = gu.batches(x, 5, generator=gu.seeded(0), labels=torch.arange(10))
    epochs = [[next(stream), next(stream)] for _ in range(2)]
    orders = [torch.cat([labels for _, labels in epoch]) for epoch in epochs]
    for epoch, order in zip(epochs, orders, strict=True):
        assert sorted(order.tolist()) == list(range(10))
        assert all(torch.equal(batch.flatten().long(), labels) for batch, labels in epoch)
    assert not torch.equal(orders[0], orders[1])


def test_batches_drop_the_remainder():
    stream = gu.batches(torch.arange(7.0).unsqueeze(1), 3, generator=gu.seeded(0))
    assert all(next(stream).shape == (3, 1) for _ in range(5))


@pytest.mark.parametrize(
    ("x", "size", "labels", "says"),
    [
        (torch.zeros(3, 1), 4, None, r"batch_size 4 is larger than the data \(3\): use 3 or less"),
        (torch.zeros(3, 1), 0, None, "batch_size must be a whole number, 1 or more; got 0"),
        (torch.tensor([[math.nan], [0.0]]), 1, None, "1 NaN or infinite values of 2"),
        (torch.zeros(0, 1), 1, None, "is empty"),
        (torch.zeros(3, 1), 1, torch.zeros(2), "2 labels for 3 samples"),
    ],
)
def test_batches_refuse_at_the_call(x, size, labels, says):
    with pytest.raises(ValueError, match=says):
        gu.batches(x, size, generator=gu.seeded(0), labels=labels)


def test_uniform_noise_law(stream):
    """U(a, b): mean (a+b)/2, variance (b-a)^2/12. Tolerances: 5 standard errors of 100,000 draws."""
    z = gu.uniform_noise(20_000, 5, generator=stream, low=-1, high=3)
    assert z.shape == (20_000, 5) and float(z.min()) >= -1 and float(z.max()) <= 3
    assert float(z.mean()) == pytest.approx(1.0, abs=5 * math.sqrt(16 / 12 / 100_000))
    assert float(z.var()) == pytest.approx(16 / 12, abs=0.03)
    assert float(gu.uniform_noise(1000, 1, generator=stream).min()) >= 0


def test_gaussian_laws(stream):
    """Tolerances: 5 standard errors of 100,000 draws, std / sqrt(n) for the mean, std / sqrt(2n) for the spread."""
    z = gu.gaussian_noise(50_000, 2, generator=stream)
    x = gu.gaussian_1d(100_000, generator=stream, mean=4.0, std=1.25)
    assert z.shape == (50_000, 2) and x.shape == (100_000, 1)
    for sample, mean, std in ((z, 0.0, 1.0), (x, 4.0, 1.25)):
        assert float(sample.mean()) == pytest.approx(mean, abs=5 * std / math.sqrt(100_000))
        assert float(sample.std()) == pytest.approx(std, abs=5 * std / math.sqrt(200_000))
    assert abs(gu.excess_kurtosis(x)) < 0.08  # 5 sqrt(24 / n): Gaussian, not merely two moments


def test_ring_has_eight_centres():
    """Neighbours are 2 sin(pi / 8) = .765367 apart; all lie on the unit circle; the first at angle 0."""
    centres = gu.ring_centres()
    assert centres.shape == (8, 2)
    assert_close(centres.norm(dim=1), torch.ones(8))
    assert_close((centres - centres.roll(1, 0)).norm(dim=1), torch.full((8,), 2 * math.sin(math.pi / 8)))
    assert_close(centres[0], torch.tensor([1.0, 0.0]))


def test_grid_has_25_centres():
    """All pairs of -4, -2, 0, 2, 4."""
    centres = {tuple(c) for c in gu.grid_centres().tolist()}
    assert centres == {(float(a), float(b)) for a in (-4, -2, 0, 2, 4) for b in (-4, -2, 0, 2, 4)}


@pytest.mark.parametrize(
    ("sampler", "centres", "std"), [(gu.ring, gu.ring_centres(), 0.01), (gu.grid, gu.grid_centres(), 0.05)]
)
def test_mixtures(sampler, centres, std, stream):
    """Equal weights and spread: share within 3 std is 1 - exp(-4.5) = .98889 (chi-square, 2 degrees).

    Tolerances: 5 binomial standard errors at n = 50,000.
    """
    n = 50_000
    x = sampler(n, generator=stream).cpu()
    distance, mode = torch.cdist(x, centres).min(dim=1)
    share = float((distance < 3 * std).double().mean())
    assert share == pytest.approx(1 - math.exp(-4.5), abs=5 * math.sqrt(0.011 / n))
    weight = 1 / len(centres)
    counts = mode.bincount(minlength=len(centres)) / n
    assert_close(counts, torch.full_like(counts, weight), rtol=0, atol=5 * math.sqrt(weight / n))


def test_samplers_refuse():
    g = gu.seeded(0)
    for call, says in [
        (lambda: gu.gaussian_1d(0, generator=g), "n must be a whole number, 1 or more; got 0"),
        (lambda: gu.gaussian_1d(5, generator=g, std=0.0), "std must be above 0, got 0.0"),
        (lambda: gu.gaussian_noise(5, -2, generator=g), "latent_dim must be a whole number"),
        (lambda: gu.ring(5, generator=g, std=-1.0), "std must be above 0"),
        (lambda: gu.mixture(5, torch.zeros(3), 1.0, generator=g), r"needs \(modes, d\)"),
        (lambda: gu.uniform_noise(2.5, 1, generator=g), "got 2.5"),
        (lambda: gu.ring(0, generator=g), "n must be a whole number, 1 or more; got 0"),
        (lambda: gu.ring(5, generator=g, modes=0), "modes must be a whole number, 1 or more; got 0"),
        (lambda: gu.grid(5, generator=g, side=0), "side must be a whole number, 1 or more; got 0"),
    ]:
        with pytest.raises(ValueError, match=says):
            call()
