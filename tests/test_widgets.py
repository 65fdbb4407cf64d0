"""The demonstrations without a browser: arithmetic in node against torch, what Python keeps, what a page carries."""

import base64
import copy
import gzip
import io
import re
import subprocess
import sys

import node
import numpy as np
import pytest
import torch
import traitlets
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats
from torch import nn

import gan_utils as gu
from gan_utils import widgets
from gan_utils.widgets import base, explorer

SVG_NAMESPACE = "http://www.w3.org/2000/svg"  # a name, never fetched


@pytest.fixture(scope="session")
def in_node(tmp_path_factory):
    """in_node(module, body, given), for the explorer and the scrubber."""
    modules = {name: base.source(name) for name in ("explorer", "scrubber")}
    return node.in_node(tmp_path_factory.mktemp("js"), **modules)


@pytest.fixture
def stream() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def odd_generator(stream) -> nn.Sequential:
    """Every layer and setting that the two generators of the chapters do not use."""
    return gu.models.init_weights(nn.Sequential(
        nn.Linear(7, 24), nn.BatchNorm1d(24), nn.LeakyReLU(0.1), nn.Dropout(0.5), nn.Unflatten(1, (6, 2, 2)),
        nn.ConvTranspose2d(6, 5, 3, stride=3, padding=1, output_padding=1, bias=False), nn.BatchNorm2d(5, affine=False),
        nn.LeakyReLU(0.3), nn.ConvTranspose2d(5, 1, 2), nn.Sigmoid()), stream)


GENERATORS = {
    "conv": lambda stream: gu.conv_generator(generator=stream),
    "classic": lambda stream: gu.classic_generator(generator=stream),
    "odd": odd_generator,
}


@pytest.fixture(params=GENERATORS)
def G(request, stream) -> nn.Sequential:
    """A generator whose batch norms have statistics and gains of their own: with 0 and 1 a wrong fold would pass."""
    G = GENERATORS[request.param](stream)
    for layer in G.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            layer.running_mean.normal_(0, 0.3, generator=stream)
            layer.running_var.uniform_(0.5, 2, generator=stream)
            if layer.affine:
                nn.init.normal_(layer.weight, 1, 0.3, generator=stream)
                nn.init.normal_(layer.bias, 0, 0.3, generator=stream)
    return G


def pictures_in_node(in_node, network: dict, z: torch.Tensor) -> torch.Tensor:
    body = "const G = js.loadGenerator(given.network); return given.z.map((z) => Array.from(G(z)));"
    return torch.tensor(in_node("explorer", body, {"network": network, "z": z.tolist()}))


def pictures_in_torch(G: nn.Module, z: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return copy.deepcopy(G).eval()(z).flatten(1)


# ---------------------------------------------------------------- the forward pass in the page

def test_page_computes_what_torch_computes(G, in_node, stream):
    """With float32 weights only the order of the sums differs.

    A sum of n terms in float32 is off by about sqrt(n) half-ulps of its size: n <= 1024 and sizes near 1 give
    32 * 6e-8 = 2e-6 a layer; 1e-5 leaves room for three layers and would show any slip of an index.
    """
    z = torch.randn(64, G[0].in_features, generator=stream)
    got = pictures_in_node(in_node, widgets.export_generator(G, int8=False), z)
    torch.testing.assert_close(got, pictures_in_torch(G, z), atol=1e-5, rtol=0)


def int8_bound(network_layers: list[dict], z: torch.Tensor) -> torch.Tensor:
    """The largest error that rounding the weights can make, pixel by pixel.

    y = W x + b with W off by at most s/2 (s the scale of its output channel) and x off by at most e gives
    |dy| <= |W| e + (s/2) sum(|x| + e); ReLU, leaky ReLU, tanh and sigmoid stretch no distance.
    """
    x, e = z, torch.zeros_like(z)
    for layer in network_layers:
        if "weight" in layer:
            weight = layer["weight"]
            half = weight.flatten(0, -2).abs().amax(0) / 254
            wide = {**layer, "weight": weight.abs(), "bias": torch.zeros_like(layer["bias"])}
            step = {**wide, "weight": torch.ones_like(weight) * half}
            e = explorer._run([wide], e) + explorer._run([step], x.abs() + e)
        elif layer["op"] == "reshape":
            e = explorer._run([layer], e)
        x = explorer._run([layer], x)
    return e.flatten(1)


def test_int8_error_stays_within_its_bound(G, in_node, stream):
    """No pixel is further off than interval arithmetic allows (see int8_bound); float32 adds 1e-5.

    The bound takes every rounding at its worst and with the worst sign. They are in truth independent, so that the
    mean error is far smaller: here below 1/100 of the range [-1, 1], that is 2.5 grey levels of 256.
    """
    z = torch.randn(64, G[0].in_features, generator=stream)
    error = (pictures_in_node(in_node, widgets.export_generator(G), z) - pictures_in_torch(G, z)).abs()
    described = [explorer._describe(name, module) for name, module in copy.deepcopy(G).eval().named_modules() if name]
    layers = explorer._fold_norms([layer for layer in described if layer is not None])
    assert (error <= int8_bound(layers, z) + 1e-5).all()
    assert 1e-5 < error.mean() < 0.02  # below: it was not int8 at all


def test_int8_scale_belongs_to_the_output_channel(in_node):
    """One layer whose outputs differ in size a thousandfold: each must keep its own precision.

    For y_o = sum_i w_oi x_i with x = (1, 1) the error is at most 2 * s_o / 2 = max|w_o| / 127.
    """
    layer = nn.Linear(2, 4, bias=False)
    layer.weight.data = torch.tensor([[1.0, 0.3], [1e-3, 0.7e-3], [0.2, -0.1], [50.0, 1.0]])
    G = nn.Sequential(layer, nn.Unflatten(1, (1, 2, 2)))
    network = widgets.export_generator(G)
    whole = np.frombuffer(base64.b64decode(network["layers"][0]["weight"]["int8"]), np.int8).reshape(2, 4)
    assert (np.abs(whole).max(0) == 127).all()  # the whole range of int8 is used
    got = pictures_in_node(in_node, network, torch.ones(1, 2))[0]
    bound = layer.weight.detach().abs().amax(1) / 127 + 1e-6
    assert ((got - layer.weight.detach().sum(1)).abs() <= bound).all()


def test_export_leaves_the_generator_alone(G):
    before, training = copy.deepcopy(G.state_dict()), G.training
    widgets.export_generator(G)
    assert G.training == training
    torch.testing.assert_close(G.state_dict(), before, atol=0, rtol=0)


class Hidden(nn.Module):
    """Calls a function that is no module: the list of its modules does not tell what it computes."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 16)

    def forward(self, z):
        return torch.tanh(self.layer(z)).view(-1, 1, 4, 4)


def diverged() -> nn.Sequential:
    G = gu.classic_generator()
    G[0].weight.data.fill_(float("nan"))
    return G


SQUARE = nn.Unflatten(1, (1, 4, 4))
REFUSED = {
    "unknown layer": (nn.Sequential(nn.Linear(3, 16), nn.GELU(), SQUARE), {}, "no JavaScript for layer '1' .GELU"),
    "hidden function": (Hidden(), {}, "more in forward"),
    "norm first": (nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 16), SQUARE), {}, "must follow Linear"),
    "no statistics": (nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(16, track_running_stats=False), SQUARE), {},
                      "no running statistics"),
    "colour": (nn.Sequential(nn.Linear(3, 12), nn.Unflatten(1, (3, 2, 2))), {}, r"needs \(1, height, width\)"),
    "groups": (nn.Sequential(nn.Linear(3, 8), nn.Unflatten(1, (2, 2, 2)), nn.ConvTranspose2d(2, 2, 3, groups=2)), {},
               "groups=1"),
    "NaN": (diverged(), {}, "NaN or infinite"),
    "other length": (gu.classic_generator(), {"latent_dim": 64}, "latent_dim=64 given, but G takes .* length 100"),
    "no length": (nn.Sequential(nn.Unflatten(1, (4, 1, 1)), nn.ConvTranspose2d(4, 1, 4)), {}, "latent_dim="),
}


@pytest.mark.parametrize("case", REFUSED)
def test_export_refuses_in_one_line(case):
    G, settings, words = REFUSED[case]
    with pytest.raises(ValueError, match=words) as error:
        widgets.export_generator(G, **settings)
    assert "\n" not in str(error.value)


def test_generator_without_linear_layer_is_told_its_length(in_node, stream):
    G = nn.Sequential(nn.Unflatten(1, (4, 1, 1)), nn.ConvTranspose2d(4, 1, 4), nn.Tanh())
    z = torch.randn(5, 4, generator=stream)
    got = pictures_in_node(in_node, widgets.export_generator(G, latent_dim=4, int8=False), z)
    torch.testing.assert_close(got, pictures_in_torch(G, z), atol=1e-5, rtol=0)


# ------------------------------------------------------------------------ directions and paths

def test_directions_of_a_linear_generator_are_its_singular_vectors(stream):
    """For G(z) = W z the Jacobian is W for every z, so E[J^T J] = W^T W: directions v_k, sizes s_k of the SVD."""
    layer = nn.Linear(5, 16, bias=False)
    with torch.no_grad():
        layer.weight.normal_(generator=stream)
    vectors, sizes = widgets.principal_directions(nn.Sequential(layer, SQUARE), 5, n=4)
    _, s, vh = torch.linalg.svd(layer.weight.detach())
    torch.testing.assert_close(sizes, s, atol=1e-3, rtol=0)  # differences with h = 0.01 in float32
    torch.testing.assert_close((vectors * vh).sum(1).abs(), torch.ones(5), atol=1e-3, rtol=0)
    assert ((layer.weight.detach() @ vectors.T).sum(0) >= 0).all()  # + adds ink


# ------------------------------------------------------------------------- generators that know classes

CONDITIONAL = {"one-hot": {"scale": 3.0}, "embedding": {"embedding_dim": 3}}


@pytest.fixture(params=CONDITIONAL)
def of_class(request, stream) -> gu.ConditionalGenerator:
    """A small G(z, y) with four classes, its class one-hot times 3 or a learnt vector of length 3."""
    settings = CONDITIONAL[request.param]
    joined = settings.get("embedding_dim", 4)
    body = nn.Sequential(*gu.mlp([5 + joined, 16, 36], generator=stream), nn.Tanh(), nn.Unflatten(1, (1, 6, 6)))
    return gu.ConditionalGenerator(body, 4, generator=stream, **settings)


def test_page_computes_what_torch_computes_of_each_class(of_class, in_node, stream):
    """As for the others; and a mixture of classes is G's body on the same mixture of what is joined to z."""
    z, y = torch.randn(12, 5, generator=stream), torch.arange(12) % 4
    weights = nn.functional.one_hot(y, 4).float()
    network = widgets.export_generator(of_class, int8=False)
    assert network["latent_dim"] == 5
    body = """const G = js.loadGenerator(given.network);
              return given.z.map((z, i) => Array.from(G(z, given.weights[i])));"""
    got = in_node("explorer", body, {"network": network, "z": z.tolist(), "weights": weights.tolist()})
    with torch.no_grad():
        torch.testing.assert_close(torch.tensor(got), of_class(z, y).flatten(1), atol=1e-5, rtol=0)
    mixed = torch.rand(12, 4, generator=stream)
    got = in_node("explorer", body, {"network": network, "z": z.tolist(), "weights": mixed.tolist()})
    vectors = 3 * torch.eye(4) if of_class.embedding is None else of_class.embedding.weight
    with torch.no_grad():
        want = of_class.body(torch.cat([z, mixed @ vectors], dim=1)).flatten(1)
    torch.testing.assert_close(torch.tensor(got), want, atol=1e-5, rtol=0)


def test_directions_of_a_conditional_generator_leave_the_class_alone(stream):
    """G(z, y) = W z + V y: the Jacobian in z is W for every class, so they are W's right singular vectors."""
    layer = gu.models.init_weights(nn.Linear(4 + 3, 16, bias=False), stream)
    G = gu.ConditionalGenerator(nn.Sequential(layer, SQUARE), 3)
    vectors, values = widgets.principal_directions(G, 4, n=5)
    _, want, right = torch.linalg.svd(layer.weight.detach()[:, :4], full_matrices=False)
    torch.testing.assert_close(values, want, atol=1e-3, rtol=1e-3)  # float32 differences of step 1e-2
    torch.testing.assert_close((vectors * right).sum(1).abs(), torch.ones(4), atol=1e-3, rtol=0)


def test_class_is_set_and_weights_are_read(of_class):
    """A class stands for the weight 1 on it; on the way from A to B the weights are mixed evenly."""
    explorer = widgets.LatentExplorer(of_class, directions=2, pins=(3, 1))
    assert explorer.y == explorer.y_a == [0, 0, 0, 1] and explorer.y_b == [0, 1, 0, 0]
    explorer.y = 2
    assert explorer.y == [0, 0, 1, 0]
    with torch.no_grad():
        want = of_class(torch.tensor([explorer.z], dtype=torch.float32), torch.tensor([2]))[0, 0]
    torch.testing.assert_close(explorer.picture(), want)
    explorer.t = 0.25
    assert explorer.y == [0, 0.25, 0, 0.75]
    np.testing.assert_allclose(explorer.z, widgets.slerp(np.array(explorer.pin_a), np.array(explorer.pin_b), 0.25))
    explorer.y = torch.tensor([0.5, 0, 0.5, 0])
    assert explorer.y == [0.5, 0, 0.5, 0]


@pytest.mark.parametrize("value, words", [
    (4, "y: 4 given, needs a class from 0 to 3 or 4 finite weights"), (1.5, "1.5 given"), ([1, 0], "given, needs"),
    ([np.nan, 0, 0, 1], "finite weights")])
def test_bad_class_is_refused(of_class, value, words):
    explorer = widgets.LatentExplorer(of_class, directions=2)
    with pytest.raises(traitlets.TraitError, match=words):
        explorer.y = value
    assert explorer.y == [1, 0, 0, 0]


def test_bad_class_settings_are_refused(of_class, small_explorer):
    with pytest.raises(ValueError, match="3 names given for 4 classes"):
        widgets.LatentExplorer(of_class, directions=2, classes=list("ABC"))
    with pytest.raises(ValueError, match=r"pins=\(0, 4\) given, two classes from 0 to 3"):
        widgets.LatentExplorer(of_class, directions=2, pins=(0, 4))
    with pytest.raises(ValueError, match="10 names given for 4 classes"):
        widgets.torch_slider(of_class, classes=list("0123456789"))
    with pytest.raises(traitlets.TraitError, match="G knows no classes"):
        small_explorer.y = 0


def test_shipped_conditional_explorer_fits_its_budget():
    """400 kB, as for the others; its still shows each class, and says what moves."""
    html = widgets.LatentExplorer(gu.shipped_generator("mnist-conditional")).to_html()
    assert len(gzip.compress(html.encode())) < 400_000
    assert "each column a class" in html and "buttons for the class" in html


def test_torch_slider_has_a_menu_of_classes(of_class):
    """The picture is G's of the class chosen; the still shows one code in every class, four tiles of 6 pixels."""
    slider = widgets.torch_slider(of_class, classes=list("ABCD"))
    assert [name for name, _ in slider.choice.options] == list("ABCD")
    slider.slider.value, slider.choice.value = 0.0, 2
    u = widgets.principal_directions(of_class, 5)[0][0].double()
    z = torch.randn(5, generator=torch.Generator().manual_seed(0)).double()
    z = (z - (z @ u) * u)[None].float()
    with torch.no_grad():
        want = (127.5 * (of_class(z, torch.tensor([2]))[0, 0] + 1)).round()
    got = np.asarray(Image.open(io.BytesIO(slider.image.value))).astype(np.float32)
    assert np.abs(got - want.numpy()).max() <= 1
    page = slider._repr_mimebundle_()["text/html"]
    still = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])))
    assert still.size == (24, 6) and "each class in turn" in page


def test_chi_percentile_agrees_with_scipy(in_node):
    cases = [(r, d) for d in (1, 2, 3, 10, 64, 100, 513) for r in np.linspace(0.05, np.sqrt(d) + 5, 23).tolist()]
    got = in_node("explorer", "return given.map(([r, d]) => [js.chiCdf(r, d), js.chiDensity(r, d)]);", cases)
    want = [[stats.chi.cdf(r, d), stats.chi.pdf(r, d)] for r, d in cases]
    # the logarithm of the gamma function reaches 1e3 at d = 513, and its rounding 1e-13 of that
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_paths_agree_with_numpy(in_node):
    rng = np.random.default_rng(0)
    cases = [(rng.normal(size=12).tolist(), rng.normal(size=12).tolist(), t) for t in (0, 0.25, 0.5, 0.9, 1)]
    body = "return given.map(([a, b, t]) => [js.slerp(a, b, t), js.lerp(a, b, t)]);"
    for (a, b, t), (arc, line) in zip(cases, in_node("explorer", body, cases), strict=True):
        a, b = np.array(a), np.array(b)
        np.testing.assert_allclose(line, a + t * (b - a), atol=1e-14)
        np.testing.assert_allclose(arc, widgets.slerp(a, b, t), atol=1e-14)


def test_slerp_turns_and_grows_evenly():
    """The angle from a and the length are both linear in t: that defines the arc. Parallel codes have only a line."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 30))
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    for t in (0.0, 0.3, 0.7, 1.0):
        z = widgets.slerp(a, b, t)
        length = (1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b)
        assert np.linalg.norm(z) == pytest.approx(length)
        # the cosine of a small angle keeps only half of float64's digits
        assert np.arccos(np.clip(z @ a / length / np.linalg.norm(a), -1, 1)) == pytest.approx(t * angle, abs=1e-7)
    np.testing.assert_allclose(widgets.slerp(a, 2 * a, 0.5), 1.5 * a)
    np.testing.assert_allclose(widgets.slerp(a, 0 * a, 0.5), 0.5 * a)


def test_random_codes_of_the_page_are_normal(in_node):
    """Kolmogorov-Smirnov at level 1e-3 on one fixed seed; two seeds give different streams."""
    body = "return [1, 2].map((seed) => { const n = js.normals(seed); return Array.from({length: 5000}, n); });"
    one, two = in_node("explorer", body)
    assert stats.kstest(one, "norm").pvalue > 1e-3
    assert one[:5] != two[:5]


# ------------------------------------------------------------------------ the explorer in Python

@pytest.fixture(scope="module")
def trained():
    """A generator with a conv generator's shape; what it draws does not matter here."""
    return gu.conv_generator(generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def small_explorer():
    return widgets.LatentExplorer(nn.Sequential(nn.Linear(64, 16), SQUARE))


def test_state_is_read_and_set_from_python(trained, stream):
    explorer = widgets.LatentExplorer(trained, seed=1)
    z = torch.randn(1, 64, generator=stream)
    explorer.z = z
    np.testing.assert_allclose(explorer.z, z[0].double().numpy())
    torch.testing.assert_close(explorer.picture().flatten(), pictures_in_torch(trained, z)[0])
    explorer.t = 0.25
    np.testing.assert_allclose(explorer.z, widgets.slerp(np.array(explorer.pin_a), np.array(explorer.pin_b), 0.25))
    explorer.mode = "lerp"
    np.testing.assert_allclose(explorer.z, 0.75 * np.array(explorer.pin_a) + 0.25 * np.array(explorer.pin_b))


def test_what_the_page_sends_arrives_and_is_not_sent_back(trained):
    """The page sets t and z together. Python would compute the same z again: an echo would pull at the hand."""
    explorer = widgets.LatentExplorer(trained)
    halfway = widgets.slerp(np.array(explorer.pin_a), np.array(explorer.pin_b), 0.5)
    sent = (halfway + 1e-13).tolist()
    explorer.set_state({"t": 0.5, "z": sent})
    assert explorer.z == sent
    assert explorer.get_state(["z"])["z"] == sent


@pytest.mark.parametrize("name, value, words", [
    ("z", [1.0, 2.0], "z: 2 numbers given, 64"), ("pin_a", torch.full((64,), torch.nan), "64 finite"),
    ("z", torch.zeros(2, 64), "128 numbers given"), ("t", 1.5, "1.5"), ("mode", "spiral", "slerp")])
def test_bad_state_is_refused(small_explorer, name, value, words):
    with pytest.raises(traitlets.TraitError, match=words):
        setattr(small_explorer, name, value)


@pytest.mark.parametrize("settings, words", [
    ({"directions": 1}, "2 to 64"), ({"directions": 65}, "2 to 64"), ({"names": ["slant"]}, "1 names given for 6"),
    ({"directions": {"a": torch.ones(64), "b": torch.ones(9)}}, r"'b' has shape \(9,\), needs \(64,\)"),
    ({"directions": {"a": torch.ones(64), "b": 2 * torch.ones(64)}}, "zero or follows from the others")])
def test_bad_settings_are_refused(trained, settings, words):
    with pytest.raises(ValueError, match=words):
        widgets.LatentExplorer(trained, **settings)


def test_named_directions_become_sliders_that_leave_each_other_alone(trained):
    """(3, 0) and (1, 1) in the first two entries: the unit vectors along the first, and what the second adds to it."""
    a, b = torch.zeros(2, 64)
    a[0], b[:2] = 3.0, 1.0
    explorer = widgets.LatentExplorer(trained, directions={"style": a, "slant": b})
    assert explorer.data["names"] == ["style", "slant"]
    np.testing.assert_allclose(explorer.data["directions"], np.eye(2, 64), atol=1e-6)


# ------------------------------------------------------------------------------ what a page carries

def demos(trained) -> dict:
    frames = np.random.default_rng(0).uniform(-1, 1, (3, 4, 28, 28))
    return {"explorer": widgets.LatentExplorer(trained), "scrubber": widgets.Scrubber(list(frames), alt="Noise <1>"),
            "torch": widgets.torch_slider(trained)}


@pytest.mark.parametrize("name", ["explorer", "scrubber", "torch"])
def test_output_carries_a_widget_and_a_page(trained, name):
    bundle = demos(trained)[name]._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    page = bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "0x" not in bundle["text/plain"]  # an address in memory would differ from run to run
    assert re.search(r'<img src="data:image/(png|webp);base64,[^"]+" width="\d+" alt="[^"]{5,}"', page)
    caption = re.search(r"<figcaption>(.+?)</figcaption>", page)[1]
    assert ("kernel" in caption) if name == "torch" else ("scripts" in caption)
    assert set(re.findall(r"https?://[^\s\"'`)]+", page)) <= {SVG_NAMESPACE}
    assert not re.search(r"\bimport\s*[({*\"]|\bfetch\(|XMLHttpRequest|localStorage|\beval\(|new Function", page)
    assert page.count("</script>") == page.count("<script") == (name != "torch")


def test_explorer_fits_its_budget(trained):
    """400 kB compressed for all of it: script, weights, still. Weights of a fresh network compress worst."""
    for G in (trained, gu.classic_generator()):
        assert len(gzip.compress(widgets.LatentExplorer(G).to_html().encode())) < 400_000


def test_same_output_twice(trained):
    """A notebook that is run again must not change by itself."""
    assert widgets.LatentExplorer(trained).to_html() == widgets.LatentExplorer(trained).to_html()


def test_titles_cannot_leave_the_script(trained):
    page = widgets.LatentExplorer(trained, title="</script><b>&", names=["<i>"] * 6).to_html()
    assert page.count("</script>") == 1
    assert "<b>" not in page


def test_package_does_not_import_widgets():
    code = "import sys, gan_utils; sys.exit('anywidget' in sys.modules or 'gan_utils.widgets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# ------------------------------------------------------------------------------------- the scrubber

def sprite_frames(scrubber) -> np.ndarray:
    """The frames as a browser cuts them out of the sprite."""
    data = scrubber.data
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["sprite"].split(",")[1]))).convert("RGB"))
    w, h, across = data["width"], data["height"], data["columns"]
    return np.stack([sheet[i // across * h:(i // across + 1) * h, i % across * w:(i % across + 1) * w]
                     for i in range(len(data["values"]))])


def test_frames_come_back_from_the_sprite():
    """Lossless where it fits: grey level round(127.5 (v + 1)) of each pixel, tile by tile."""
    batches = np.random.default_rng(0).uniform(-1, 1, (7, 4, 5, 6))
    got = sprite_frames(widgets.Scrubber(list(batches)))
    grey = (127.5 * (batches + 1)).round().astype(np.uint8)
    want = np.concatenate([np.concatenate([grey[:, 0], grey[:, 1]], 2), np.concatenate([grey[:, 2], grey[:, 3]], 2)], 1)
    np.testing.assert_array_equal(got, want[..., None].repeat(3, 3))


@pytest.mark.parametrize("kind", ["figure", "tensor", "grey", "colour", "bytes"])
def test_every_kind_of_frame_is_taken(kind):
    figure = Figure(figsize=(2, 1), dpi=50)
    figure.subplots().plot([0, 1])
    frame, shape = {
        "figure": (figure, (50, 100)), "tensor": (torch.zeros(9, 1, 28, 28), (84, 84)),
        "grey": (np.zeros((4, 6)), (4, 6)), "colour": (np.zeros((4, 6, 3), np.uint8), (4, 6)),
        "bytes": (np.full((4, 6), 255, np.uint8), (4, 6))}[kind]
    got = sprite_frames(widgets.Scrubber([frame, frame]))
    assert got.shape == (2, *shape, 3)
    assert kind != "bytes" or (got == 255).all()


def test_thirty_mosaics_fit_250_kb():
    """Thirty frames of 8 x 8 digits as text in the page. Noise is the worst picture; digits come out of it."""
    stream = torch.Generator().manual_seed(0)
    x, _ = gu.load_mnist("test")
    noise = torch.rand(64, 1, 28, 28, generator=stream) * 2 - 1
    frames = [torch.lerp(noise, x[:64], min(1.0, i / 12)) for i in range(30)]
    assert len(widgets.Scrubber(frames).data["sprite"]) < 250_000


def test_series_and_lines_reach_the_page():
    scrubber = widgets.Scrubber(
        [np.zeros((4, 4))] * 3, values=[np.int64(0), 10, 20], series={"FD": [3, np.nan, 1], "loss": ([0, 5], [1, 2])},
        hlines={"floor": 0.5}, yscale="log", captions=["a", "b", "c"], alt=["x", "y", "z"])
    data = scrubber.data
    assert data["series"] == [{"name": "FD", "x": [0, 10, 20], "y": [3, None, 1]},
                              {"name": "loss", "x": [0, 5], "y": [1, 2]}]
    assert data["lines"] == [{"name": "floor", "y": 0.5}]
    assert (data["log"], data["alts"], data["x"], scrubber.index) == (True, ["x", "y", "z"], [0, 10, 20], 2)
    assert data["ylabel"] == ""  # two series: neither names the axis
    scrubber.index = 1
    with pytest.raises(traitlets.TraitError, match="index=3 given, 0 to 2"):
        scrubber.index = 3


FRAMES = [np.zeros((4, 4))] * 3


@pytest.mark.parametrize("frames, settings, words", [
    ([], {}, "one or more"), ([np.zeros((4, 4)), np.zeros((5, 4))], {}, "all of one size"),
    (FRAMES, {"values": [1, 2]}, "2 values given for 3 frames"), (FRAMES, {"captions": ["a"]}, "1 captions"),
    (FRAMES, {"series": {"FD": [1, 2]}}, "'FD' has 2 values for 3"), (FRAMES, {"yscale": "cubic"}, "'linear' or 'log'"),
    (FRAMES, {"alt": ["one"]}, "1 alt"), ([np.zeros(4)], {}, r"shape \(4,\) given"),
    ([np.random.default_rng(0).random((99, 99))] * 2, {"max_bytes": 50}, "fewer or smaller")])
def test_scrubber_refuses_in_one_line(frames, settings, words):
    with pytest.raises(ValueError, match=words) as error:
        widgets.Scrubber(frames, **settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("low, high, log, want", [
    (0, 10, False, [0, 2, 4, 6, 8, 10]), (-1, 1, False, [-1, -0.5, 0, 0.5, 1]),
    (3, 1000, True, [3, 10, 30, 100, 300, 1000]), (0.1, 0.6, True, [0.1, 0.15, 0.2, 0.3, 0.5])])
def test_ticks_are_round(in_node, low, high, log, want):
    got = in_node("scrubber", "return js.ticks(given[0], given[1], given[2]);", [low, high, log])
    assert got == pytest.approx(want)


def test_numbers_are_short(in_node):
    got = in_node("scrubber", "return given.map(js.short);", [0, 1, 0.12345, 12345, 1e-5, -2.5, 1e6])
    assert got == ["0", "1", "0.123", "12,345", "1.0e-5", "-2.5", "1.0e6"]


# ------------------------------------------------------------------------------- the torch slider

def test_torch_slider_runs_the_generator_as_it_is(stream):
    """Each move calls G itself: after G changes, the same position shows another picture. G keeps its mode."""
    G = gu.conv_generator(generator=stream).train()
    slider = widgets.torch_slider(G, direction=2)
    before = copy.deepcopy(G.state_dict())
    slider.slider.value = 1.5
    first = slider.image.value
    slider.slider.value = -1.5
    assert slider.image.value != first
    assert G.training
    torch.testing.assert_close(G.state_dict(), before, atol=0, rtol=0)  # no batch statistic moved
    with torch.no_grad():
        G[-2].weight.neg_()
    slider.slider.value = 1.5
    assert slider.image.value != first


def test_torch_slider_shows_the_code_it_says(stream):
    """At position c the code's coordinate along the direction is c, the rest of the code as it was."""
    G = gu.classic_generator(generator=stream)
    slider = widgets.torch_slider(G, seed=5)
    slider.slider.value = 2.0
    u = widgets.principal_directions(G, 100)[0][0].double()
    z = torch.randn(100, generator=torch.Generator().manual_seed(5)).double()
    z = z + (2.0 - z @ u) * u
    want = (127.5 * (pictures_in_torch(G, z[None].float()).reshape(28, 28) + 1)).round()
    got = np.asarray(Image.open(io.BytesIO(slider.image.value))).astype(np.float32)
    assert np.abs(got - want.numpy()).max() <= 1  # one grey level: float32 sums in batches of one and of eight


def test_torch_slider_refuses_a_direction_that_is_not_there():
    with pytest.raises(ValueError, match="direction=100 given, 0 to 99"):
        widgets.torch_slider(gu.classic_generator(), direction=100)
