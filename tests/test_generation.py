"""Attention over a cache, nets of the Llama type, and text from them."""

from __future__ import annotations

import numpy as np
import pytest
from test_gguf import LETTERS, SIZES, TOKENS, arrays

import twofold as tf
from twofold.cli.main import main
from twofold.codegen.jit import counts
from twofold.functions.attention import cached_attention
from twofold.models.language import CHUNK, Generator, load_gguf, sampler
from twofold.models.llama import Cache, Llama, LlamaSizes
from twofold.serialization.gguf import write_gguf

RNG = np.random.default_rng(1)
SMALL = LlamaSizes(n_tokens=50, n_layers=2, n=32, n_heads=4, n_shared_heads=2, n_hidden=48)


def attended(q: np.ndarray, k: np.ndarray, v: np.ndarray, start: int) -> np.ndarray:
    """Attention in float64."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    k, v = (np.repeat(x, q.shape[1] // x.shape[1], 1) for x in (k, v))
    s = q @ k.swapaxes(2, 3) / np.sqrt(q.shape[3])
    seen = np.arange(k.shape[2]) <= start + np.arange(q.shape[2])[:, None]
    e = np.where(seen, np.exp(s - s.max(-1, keepdims=True)), 0)
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total) @ v


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "b, h, g, length, s, e, v",
    [
        (1, 9, 3, 1, 100, 64, 64), (2, 4, 4, 1, 37, 20, 72), (1, 6, 2, 5, 50, 64, 64),
        (1, 3, 1, 40, 300, 17, 33), (1, 2, 2, 1, 0, 8, 8),
    ],
)  # fmt: skip
def test_cached_attention(dtype, b, h, g, length, s, e, v) -> None:
    shapes = [(b, h, length, e), (b, g, s, e), (b, g, s, v)]
    given = [RNG.standard_normal(shape).astype(dtype) for shape in shapes]
    for start in (0, 1, 17, s - 1, s + 5, -1):
        y = cached_attention(*map(tf.from_numpy, given), tf.tensor(start)).numpy()
        if s:
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(y, attended(*given, start), atol=40 * eps)
        assert y.shape == (b, h, length, v)
        assert (start >= 0 and s) or length > 1 or not y.any()


def test_cached_attention_has_a_gradient() -> None:
    shapes = [(1, 4, 3, 8), (1, 2, 10, 8), (1, 2, 10, 8)]
    given = [tf.randn(*s, dtype=tf.float64, requires_grad=True) for s in shapes]
    assert tf.autograd.gradcheck(lambda *x: cached_attention(*x, tf.tensor(4)), given)


def test_cached_attention_under_vmap() -> None:
    q, k, v = (tf.randn(3, 1, 2, 1, 8), tf.randn(3, 1, 2, 9, 8), tf.randn(3, 1, 2, 9, 8))
    starts = tf.tensor([0, 3, 8])
    whole = tf.vmap(cached_attention)(q, k, v, starts)
    for i in range(3):
        own = cached_attention(q[i], k[i], v[i], starts[i])
        np.testing.assert_allclose(whole[i].numpy(), own.numpy(), rtol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 5, 33])
def test_values_not_yet_given_are_not_read(length: int) -> None:
    k = tf.full((1, 1, 300, 16), float("nan"))
    k[:, :, : 2 + length] = 1.0
    y = cached_attention(tf.ones(1, 1, length, 16), k, k, tf.tensor(2))
    np.testing.assert_allclose(y.numpy(), np.ones((1, 1, length, 16)), rtol=1e-6)


def test_net_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    tf.manual_seed(0)
    net = Llama(SMALL)
    tokens = RNG.integers(0, 50, (2, 7))
    w = {name: torch.from_numpy(x.detach().numpy()) for name, x in net.state_dict().items()}

    def turned(x):
        rates = SMALL.base ** (-torch.arange(0, 8, 2, dtype=torch.float32) / 8)
        angles = torch.polar(
            torch.ones(7, 4), torch.arange(7, dtype=torch.float32)[:, None] * rates
        )
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], 4, 2).contiguous())
        return torch.view_as_real(pairs * angles).reshape(x.shape)

    x = w["embedding.weight"][torch.from_numpy(tokens)]
    for i in range(2):
        own = {k.removeprefix(f"blocks.{i}."): v for k, v in w.items()}
        y = functional.rms_norm(x, (32,), own["attention_norm.weight"], 1e-5)
        q, k, v = (
            (y @ own[f"attention.{n}.weight"].T).reshape(2, 7, -1, 8).transpose(1, 2) for n in "qkv"
        )
        y = functional.scaled_dot_product_attention(
            turned(q), turned(k), v, is_causal=True, enable_gqa=True
        )
        x = x + y.transpose(1, 2).reshape(2, 7, 32) @ own["attention.output.weight"].T
        y = functional.rms_norm(x, (32,), own["feed_forward_norm.weight"], 1e-5)
        gate = functional.silu(y @ own["feed_forward.gate.weight"].T)
        up = y @ own["feed_forward.up.weight"].T
        x = x + (gate * up) @ own["feed_forward.down.weight"].T
    expected = functional.rms_norm(x, (32,), w["norm.weight"], 1e-5) @ w["head.weight"].T
    logits = net(tf.from_numpy(tokens)).detach().numpy()
    np.testing.assert_allclose(logits, expected.numpy(), atol=2e-5)


@pytest.mark.parametrize("n_prompt", [1, 3, 4, CHUNK, CHUNK + 2, 2 * CHUNK + 30])
def test_a_prompt_in_chunks_is_the_prompt(n_prompt: int) -> None:
    tf.manual_seed(0)
    net = Llama(SMALL)
    generator = Generator(net, 160)
    prompt = RNG.integers(0, 50, n_prompt).tolist()
    found = list(generator.tokens(prompt, most=2))
    with tf.no_grad():
        for token in found:
            logits = net(tf.tensor([prompt]))[0, -1].numpy()
            assert logits[token] > logits.max() - 1e-4
            prompt.append(token)
    generator.clear()
    assert list(generator.tokens(prompt[:-2], most=2)) == found


def test_lengths_compile_nothing_and_the_cache_stays_in_place() -> None:
    tf.manual_seed(0)
    generator = Generator(Llama(SMALL), 256)
    for n in (70, 5, 3):
        generator.add([1] * n)
    before = counts["compiled"]
    places = [x.data_ptr() for x in (*generator.cache.keys, *generator.cache.values)]
    for n in (9, 1, 1, 30):
        generator.add([2] * n)
    assert places == [x.data_ptr() for x in (*generator.cache.keys, *generator.cache.values)]
    assert all(v.settled for v in generator._run.variants.values())
    assert len(generator._run.variants) == 2
    assert counts["compiled"] == before
    assert int(generator.cache.length) == generator.read == 119


def test_the_context_ends() -> None:
    generator = Generator(Llama(SMALL), 10)
    assert len(list(generator.tokens([1, 2, 3]))) == 7
    generator.add([1])
    with pytest.raises(ValueError, match="room for 10"):
        generator.add([1])
    with pytest.raises(ValueError, match="there must be a token"):
        generator.add([])


def test_sampler() -> None:
    logits = np.log(np.array([0.5, 0.25, 0.15, 0.1]))
    assert sampler()(logits) == 0
    assert [sampler(1.0, seed=3)(logits) for _ in range(3)] == [sampler(1.0, seed=3)(logits)] * 3
    choose = sampler(1.0, seed=0)
    counts = np.bincount([choose(logits) for _ in range(4000)], minlength=4) / 4000
    np.testing.assert_allclose(counts, np.exp(logits), atol=0.03)
    choose = sampler(1.0, top_k=2, seed=0)
    assert {choose(logits) for _ in range(200)} == {0, 1}
    choose = sampler(1.0, top_p=0.8, seed=0)
    assert {choose(logits) for _ in range(400)} == {0, 1, 2}
    choose = sampler(1.0, top_p=1e-9, seed=0)
    assert {choose(logits) for _ in range(20)} == {0}
    for options in ({"temperature": -1}, {"top_k": -1}, {"top_p": 0}, {"top_p": 2}):
        with pytest.raises(ValueError, match="sampler"):
            sampler(**options)


def test_command(tmp_path, capsys) -> None:
    path = tmp_path / "small.gguf"
    weights = arrays()
    weights["token_embd.weight"][LETTERS.index("<end>")] = 0  # never the likeliest
    write_gguf(path, SIZES | TOKENS, weights)
    command = ["generate", str(path), "--prompt", "the", "--most", "5", "--context", "20"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    net, tokenizer = load_gguf(path)
    numbers = Generator(net, 20).tokens(tokenizer.encode("the"), None, 5, LETTERS.index("<end>"))
    assert out == "the" + tokenizer.decode(numbers) + "\n"
    assert "4 more at" in err and "tokens/s" in err
    assert main([*command, "--chat"]) == 2
    assert "<|im_start|>" in capsys.readouterr().err
    assert main([*command[:2], "--prompt", "the" * 30, "--context", "20"]) == 2
    assert "--context" in capsys.readouterr().err
    path.write_bytes(b"GGUF")
    assert main(command) == 2
    assert "24 bytes" in capsys.readouterr().err


def test_cache_of_several_sequences() -> None:
    net = Llama(SMALL)
    tokens = tf.from_numpy(RNG.integers(0, 50, (3, 6)))
    cache = Cache(SMALL, 8, batch=3)
    with tf.no_grad():
        parts = tf.cat([net(tokens[:, :4], cache), net(tokens[:, 4:], cache)], 1)
        np.testing.assert_allclose(parts.numpy(), net(tokens).numpy(), atol=2e-5)
