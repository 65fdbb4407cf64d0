"""Networks on disk: what is read is what was written; whatever else lies there gets one line."""

import pytest
import torch
from safetensors.torch import save_file

import gan_utils as gu


def test_generator_round_trip(tmp_path):
    """Bit for bit, statistics included, and built again from the header alone."""
    G = gu.conv_generator(8, width=4, generator=gu.seeded(0))
    G(torch.randn(5, 8, generator=gu.seeded(1)))
    path = gu.save_generator(
        tmp_path / "g.safetensors", G, model="conv_generator", arguments={"latent_dim": 8, "width": 4}, steps=12
    )
    again, header = gu.load_generator(path)
    assert header["steps"] == 12 and not again.training and not any(p.requires_grad for p in again.parameters())
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in G.state_dict().items())


def test_header_keeps_plain_values(tmp_path):
    header = {"name": "x", "list": [1, 2.5, None], "nested": {"a": True}}
    path = gu.save_tensors(tmp_path / "t.safetensors", {"a": torch.arange(3)}, header)
    tensors, back = gu.load_tensors(path)
    assert back == header and torch.equal(tensors["a"], torch.arange(3))


def test_values_are_written_whatever_their_layout(tmp_path):
    """Channels-last weights, transposed views and slices: what is read is equal, in the usual layout."""
    base = torch.randn(2, 3, 4, 4, generator=gu.seeded(0))
    tensors = {"last": base.to(memory_format=torch.channels_last), "turned": base[0, 0].T, "cut": base[:, 1]}
    back, _ = gu.load_tensors(gu.save_tensors(tmp_path / "t.safetensors", tensors, {}))
    assert all(torch.equal(back[name], t) and back[name].is_contiguous() for name, t in tensors.items())


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"not a checkpoint at all")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    whole = gu.save_tensors(tmp_path / "whole.safetensors", {"a": torch.zeros(1000)}, {})
    (tmp_path / "cut.safetensors").write_bytes(whole.read_bytes()[:-100])
    for name, error, says in [
        ("missing", FileNotFoundError, "no checkpoint at missing.safetensors"),
        ("bad", ValueError, "bad.safetensors is damaged"),
        ("cut", ValueError, "cut.safetensors is damaged"),
        ("foreign", ValueError, "foreign.safetensors has format none, this version reads gan_utils/1"),
    ]:
        with pytest.raises(error, match=says) as caught:
            gu.load_tensors(tmp_path / f"{name}.safetensors")
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="whole.safetensors holds no generator"):
        gu.load_generator(whole)


def test_header_cannot_call_anything_but_a_generator_builder(tmp_path):
    """The name in a header is looked up among the generators, never evaluated."""
    header = {"model": "init_weights", "arguments": {}}
    path = gu.save_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, header)
    with pytest.raises(ValueError, match="no generator called 'init_weights'"):
        gu.load_generator(path)
    with pytest.raises(ValueError, match="no generator called 'nonsense_generator'"):
        gu.save_generator(tmp_path / "y.safetensors", torch.nn.Linear(1, 1), model="nonsense_generator", arguments={})


def test_shipped_names():
    with pytest.raises(ValueError, match="no generator called 'stylegan' is shipped: use one of .*mnist-conv"):
        gu.shipped_generator("stylegan")


def test_a_changed_file_is_refused(tmp_path):
    """One bit, a word of the header, a name, a shape or a type, altered in place: safetensors still reads it."""
    path = gu.save_tensors(tmp_path / "t.safetensors", {"a": torch.zeros(4, 25)}, {"seed": 3})
    whole = path.read_bytes()
    words = [(b'seed\\": 3', b'seed\\": 4'), (b'"a":', b'"b":'), (b"[4,25]", b"[5,20]"), (b'"F32"', b'"I32"')]
    for changed in (whole[:-1] + bytes([whole[-1] ^ 1]), *(whole.replace(*pair) for pair in words)):
        assert changed != whole
        path.write_bytes(changed)
        with pytest.raises(ValueError, match="t.safetensors was changed after it was written"):
            gu.load_tensors(path)


def test_a_generator_that_does_not_fit_its_header(tmp_path):
    """Right sum, wrong shapes, or arguments that the builder does not know: one line that says which."""
    G = gu.conv_generator(8, width=4)
    for arguments, says in (({"latent_dim": 9, "width": 4}, "x.safetensors does not fit conv_generator"),
                            ({"depth": 4}, "does not fit conv_generator .*unexpected keyword")):
        path = gu.save_tensors(tmp_path / "x.safetensors", G.state_dict(),
                               {"model": "conv_generator", "arguments": arguments})
        with pytest.raises(ValueError, match=says) as caught:
            gu.load_generator(path)
        assert "\n" not in str(caught.value)
