"""Distributions: densities, moments, entropies, divergences, transforms, constraints, samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold import config
from twofold import distributions as D

torch = pytest.importorskip("torch")
T = torch.distributions

A, B = [0.5, 2.0, 3.0], [1.5, 0.7, 2.5]
P = [0.1, 0.6, 0.3]
M = [[2.0, 0.3], [0.3, 1.0]]

MADE: dict[str, Any] = {
    "Bernoulli": lambda d, t: d.Bernoulli(t(P)),
    "Bernoulli logits": lambda d, t: d.Bernoulli(logits=t(A)),
    "Beta": lambda d, t: d.Beta(t(A), t(B)),
    "Binomial": lambda d, t: d.Binomial(5, t(P)),
    "Categorical": lambda d, t: d.Categorical(t([P, A])),
    "Cauchy": lambda d, t: d.Cauchy(t(A), t(B)),
    "Chi2": lambda d, t: d.Chi2(t(B)),
    "ContinuousBernoulli": lambda d, t: d.ContinuousBernoulli(t([0.2, 0.5, 0.7])),
    "Dirichlet": lambda d, t: d.Dirichlet(t([A, B])),
    "Exponential": lambda d, t: d.Exponential(t(A)),
    "FisherSnedecor": lambda d, t: d.FisherSnedecor(t(A), t([5.0, 6.0, 7.0])),
    "Gamma": lambda d, t: d.Gamma(t(A), t(B)),
    "GeneralizedPareto": lambda d, t: d.GeneralizedPareto(t(A), t(B), t([0.1, 0.2, 0.3])),
    "Geometric": lambda d, t: d.Geometric(t(P)),
    "Gumbel": lambda d, t: d.Gumbel(t(A), t(B)),
    "HalfCauchy": lambda d, t: d.HalfCauchy(t(A)),
    "HalfNormal": lambda d, t: d.HalfNormal(t(A)),
    "Independent": lambda d, t: d.Independent(d.Normal(t([A, B]), t([B, A])), 1),
    "InverseGamma": lambda d, t: d.InverseGamma(t([3.0, 4.0]), t([1.0, 2.0])),
    "Kumaraswamy": lambda d, t: d.Kumaraswamy(t(A), t(B)),
    "LKJCholesky": lambda d, t: d.LKJCholesky(3, 1.5),
    "Laplace": lambda d, t: d.Laplace(t(A), t(B)),
    "LogNormal": lambda d, t: d.LogNormal(t(A), t(P)),
    "LogisticNormal": lambda d, t: d.LogisticNormal(t(A), t(B)),
    "LowRankMultivariateNormal": lambda d, t: d.LowRankMultivariateNormal(
        t(A), t([[1.0], [0.5], [0.2]]), t(B)
    ),
    "MixtureSameFamily": lambda d, t: d.MixtureSameFamily(
        d.Categorical(t(P)), d.Normal(t(A), t(B))
    ),
    "Multinomial": lambda d, t: d.Multinomial(4, t(P)),
    "MultivariateNormal": lambda d, t: d.MultivariateNormal(t([1.0, 2.0]), t(M)),
    "MultivariateNormal precision": lambda d, t: d.MultivariateNormal(
        t([1.0, 2.0]), precision_matrix=t(M)
    ),
    "NegativeBinomial": lambda d, t: d.NegativeBinomial(t([3.0, 4.0, 5.0]), t(P)),
    "Normal": lambda d, t: d.Normal(t(A), t(B)),
    "OneHotCategorical": lambda d, t: d.OneHotCategorical(t(P)),
    "Pareto": lambda d, t: d.Pareto(t(A), t([3.0, 4.0, 5.0])),
    "Poisson": lambda d, t: d.Poisson(t(A)),
    "RelaxedBernoulli": lambda d, t: d.RelaxedBernoulli(t(0.7), t(P)),
    "RelaxedOneHotCategorical": lambda d, t: d.RelaxedOneHotCategorical(t(0.7), t(P)),
    "StudentT": lambda d, t: d.StudentT(t([3.0, 4.0, 5.0]), t(A), t(B)),
    "Transformed": lambda d, t: d.TransformedDistribution(
        d.Normal(t(A), t(B)), [d.TanhTransform(), d.AffineTransform(1.0, 2.0)]
    ),
    "Uniform": lambda d, t: d.Uniform(t([0.0, 1.0]), t([2.0, 5.0])),
    "VonMises": lambda d, t: d.VonMises(t(A), t(B)),
    "Weibull": lambda d, t: d.Weibull(t(A), t(B)),
    "Wishart": lambda d, t: d.Wishart(t(4.0), t(M)),
}


@pytest.fixture(autouse=True)
def by_references() -> Iterator[None]:
    """These are composites, whose kernels other tests run: no machine code is needed."""
    with config.override(backend="reference"):
        yield


def near(mine: Any, theirs: Any, **how: float) -> None:
    np.testing.assert_allclose(
        mine.detach().numpy(), theirs.detach().numpy(), **{"rtol": 2e-4, "atol": 2e-5, **how}
    )


@pytest.mark.parametrize("name", MADE)
def test_like_pytorch(name: str) -> None:
    torch.manual_seed(1)
    mine, theirs = MADE[name](D, tf.tensor), MADE[name](T, torch.tensor)
    assert tuple(mine.batch_shape) == tuple(theirs.batch_shape)
    assert tuple(mine.event_shape) == tuple(theirs.event_shape)
    assert mine.has_rsample == theirs.has_rsample
    value = theirs.sample((3,))
    near(mine.log_prob(tf.tensor(value.numpy())), theirs.log_prob(value))
    for member in ("mean", "variance", "stddev", "mode"):
        try:
            wanted = getattr(theirs, member)
        except NotImplementedError:
            continue
        if wanted.isnan().all() and member == "mode":
            continue
        near(getattr(mine, member), wanted)
    for member, given in (("entropy", ()), ("cdf", (value,)), ("icdf", (torch.tensor(0.3),))):
        try:
            wanted = getattr(theirs, member)(*given)
        except (NotImplementedError, AttributeError):
            continue
        near(getattr(mine, member)(*[tf.tensor(g.numpy()) for g in given]), wanted)
    wide = (2, *theirs.batch_shape)
    assert tuple(mine.expand(wide).sample((3,)).shape) == tuple(
        theirs.expand(wide).sample((3,)).shape
    )
    if theirs.has_enumerate_support:
        near(mine.enumerate_support(), theirs.enumerate_support())


@pytest.mark.parametrize("name", [n for n in MADE if n not in ("Cauchy", "HalfCauchy")])
def test_samples_have_the_mean(name: str) -> None:
    tf.manual_seed(2)
    mine, theirs = MADE[name](D, tf.tensor), MADE[name](T, torch.tensor)
    try:
        mean, spread = theirs.mean, theirs.variance
    except NotImplementedError:
        pytest.skip("PyTorch gives no mean")
    n = 4000
    found = mine.sample((n,))
    assert not found.requires_grad
    good = ~(mean.isnan() | mean.isinf() | spread.isnan() | spread.isinf())
    if not good.any():
        pytest.skip("neither mean nor variance is finite")
    if name == "VonMises":  # angles: their spread is 1 - the length of the mean direction
        across, along = found.sin().mean(0).numpy(), found.cos().mean(0).numpy()
        np.testing.assert_allclose(np.arctan2(across, along), mean.numpy(), atol=0.15)
        np.testing.assert_allclose(1 - np.hypot(across, along), spread.numpy(), atol=0.05)
        return
    off = ((found.mean(0).numpy() - mean.numpy())[good]) ** 2
    assert (off <= 30 * spread.numpy()[good] / n + 1e-6).all()


def test_gradients_of_samples() -> None:
    tf.manual_seed(3)
    a = tf.tensor(A, requires_grad=True)
    sample = D.Gamma(a, tf.ones(3)).rsample()
    sample.sum().backward()
    theirs = torch._standard_gamma_grad(torch.tensor(A), torch.tensor(sample.detach().numpy()))
    near(a.grad, theirs, rtol=2e-3)
    for make in (
        lambda x: D.Normal(x, x), lambda x: D.Beta(x, x), lambda x: D.Weibull(x, x),
        lambda x: D.MultivariateNormal(x, scale_tril=tf.diag_embed(x)),
        lambda x: D.RelaxedOneHotCategorical(0.5, logits=x), lambda x: D.StudentT(x),
        lambda x: D.OneHotCategoricalStraightThrough(logits=x),
    ):  # fmt: skip
        x = tf.tensor(A, requires_grad=True)
        (make(x).rsample((4,)) ** 2).sum().backward()
        assert x.grad is not None and x.grad.isfinite().all()


PAIRS = (
    "Bernoulli Beta Binomial Categorical Cauchy ContinuousBernoulli Dirichlet Exponential Gamma "
    "Geometric Gumbel HalfNormal Independent Laplace LogNormal LowRankMultivariateNormal "
    "MultivariateNormal Normal OneHotCategorical Pareto Poisson"
).split()


@pytest.mark.parametrize("name", PAIRS)
def test_divergence_like_pytorch(name: str) -> None:
    results = []
    for d, t in ((D, tf.tensor), (T, torch.tensor)):
        p = MADE[name](d, t)
        scaled = {"P": [0.3, 0.3, 0.4], "A": [0.4, 1.0, 2.0], "B": [2.0, 1.0, 3.0]}
        before = dict(globals())
        globals().update(scaled)
        try:
            results.append(d.kl_divergence(p, MADE[name](d, t)))
        finally:
            globals().update({k: before[k] for k in scaled})
    near(*results)


def test_divergences_between_kinds() -> None:
    for p, q in (
        (lambda d, t: d.Exponential(t(A)), lambda d, t: d.Gamma(t(A), t(B))),
        (lambda d, t: d.Gamma(t(A), t(B)), lambda d, t: d.Exponential(t(A))),
        (lambda d, t: d.Uniform(t(A), t(A) + 1), lambda d, t: d.Normal(t(A), t(B))),
        (lambda d, t: d.Laplace(t(A), t(B)), lambda d, t: d.Normal(t(B), t(A))),
    ):
        mine, theirs = (
            d.kl_divergence(p(d, t), q(d, t)) for d, t in ((D, tf.tensor), (T, torch.tensor))
        )
        near(mine, theirs)
    p, q = D.Normal(tf.tensor(0.3), tf.tensor(0.8)), D.Laplace(tf.tensor(0.0), tf.tensor(1.2))
    tf.manual_seed(4)
    x = p.sample((200_000,))
    near(D.kl_divergence(p, q), (p.log_prob(x) - q.log_prob(x)).mean(), rtol=0.03)
    with pytest.raises(NotImplementedError, match="No KL"):
        D.kl_divergence(D.Poisson(tf.ones(())), D.Normal(0.0, 1.0))


KINDS = {
    "Beta": lambda d, t: d.Beta(t(2.0), t(3.0)), "Bernoulli": lambda d, t: d.Bernoulli(t(0.3)),
    "Binomial": lambda d, t: d.Binomial(3, t(0.2)), "Poisson": lambda d, t: d.Poisson(t(1.5)),
    "ContinuousBernoulli": lambda d, t: d.ContinuousBernoulli(t(0.3)),
    "Exponential": lambda d, t: d.Exponential(t(1.5)),
    "Gamma": lambda d, t: d.Gamma(t(2.0), t(0.7)),
    "Gumbel": lambda d, t: d.Gumbel(t(0.5), t(1.3)),
    "Laplace": lambda d, t: d.Laplace(t(0.5), t(2.0)),
    "Normal": lambda d, t: d.Normal(t(0.4), t(0.8)),
    "Pareto": lambda d, t: d.Pareto(t(0.2), t(3.0)),
    "Uniform": lambda d, t: d.Uniform(t(0.3), t(0.9)),
    "Uniform wide": lambda d, t: d.Uniform(t(-0.5), t(1.5)),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_divergences_from_one_kind_to_all_others(name: str) -> None:
    compared = 0
    for other in KINDS:
        try:
            expected = T.kl_divergence(*(KINDS[n](T, torch.tensor) for n in (name, other)))
        except NotImplementedError:
            continue
        near(D.kl_divergence(*(KINDS[n](D, tf.tensor) for n in (name, other))), expected)
        compared += 1
    assert compared > (name != "Binomial")  # all have a rule for their own kind


MAPS: dict[str, Any] = {
    "Abs": lambda d, t: d.AbsTransform(), "Affine": lambda d, t: d.AffineTransform(1.0, t(B)),
    "Cat": lambda d, t: d.CatTransform([d.ExpTransform(), d.TanhTransform()], 0, [1, 2]),
    "Compose": lambda d, t: d.ComposeTransform([d.AffineTransform(0.0, 2.0), d.SigmoidTransform()]),
    "CorrCholesky": lambda d, t: d.CorrCholeskyTransform(), "Exp": lambda d, t: d.ExpTransform(),
    "Power": lambda d, t: d.PowerTransform(t(2.0)), "Sigmoid": lambda d, t: d.SigmoidTransform(),
    "Softmax": lambda d, t: d.SoftmaxTransform(), "Softplus": lambda d, t: d.SoftplusTransform(),
    "Stack": lambda d, t: d.StackTransform([d.ExpTransform()] * 3),
    "StickBreaking": lambda d, t: d.StickBreakingTransform(),
    "Tanh": lambda d, t: d.TanhTransform(),
    "Reshape": lambda d, t: d.ReshapeTransform((3,), (3, 1)),
    "Cdf": lambda d, t: d.CumulativeDistributionTransform(d.Normal(t(A), t(B))),
}  # fmt: skip


@pytest.mark.parametrize("name", MAPS)
def test_transforms_like_pytorch(name: str) -> None:
    mine, theirs = MAPS[name](D, tf.tensor), MAPS[name](T, torch.tensor)
    x, y = tf.tensor(P), torch.tensor(P)
    near(mine(x), theirs(y))
    near(mine.inv(mine(x)), theirs.inv(theirs(y)))
    if name not in ("Abs", "Softmax"):
        near(mine.log_abs_det_jacobian(x, mine(x)), theirs.log_abs_det_jacobian(y, theirs(y)))


def test_maps_into_regions() -> None:
    c = D.constraints
    for region, shape in (
        (c.positive, (3,)), (c.unit_interval, (3,)), (c.interval(-1.0, 4.0), (3,)),
        (c.simplex, (3,)), (c.lower_cholesky, (3, 3)), (c.corr_cholesky, (3,)),
        (c.greater_than(2.0), (3,)), (c.positive_definite, (3, 3)),
        (c.positive_semidefinite, (3, 3)),
        (c.real, (2,)),
        (c.independent(c.positive, 1), (3,)),
    ):  # fmt: skip
        assert bool(region.check(D.transform_to(region)(tf.randn(*shape))).all())
    near(
        c.positive_semidefinite.check(tf.tensor([M, [[1.0, 2.0], [2.0, 1.0]]])).float(),
        torch.tensor([1.0, 0.0]),
    )
    with pytest.raises(NotImplementedError, match="Cannot transform"):
        D.biject_to(c.boolean)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: D.Normal(0.0, -1.0), "parameter scale"),
        (lambda: D.Exponential(tf.tensor([1.0, -1.0])), "parameter rate"),
        (lambda: D.Gamma(1.0, 1.0).log_prob(tf.tensor(-1.0)), "within the support"),
        (lambda: D.Categorical(tf.tensor([0.5, 0.5])).log_prob(tf.tensor(3)), "support"),
        (lambda: D.Bernoulli(), "Either `probs` or `logits`"),
        (lambda: D.Uniform(2.0, 1.0), "low>= high"),
        (lambda: D.Normal("a", 1.0), "Number"),
        (lambda: D.MultivariateNormal(tf.zeros(2)), "Exactly one"),
    ],
)
def test_errors(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()
    assert D.Normal(0.0, -1.0, validate_args=False).loc.item() == 0


def test_precision_of_float64_and_of_large_parameters() -> None:
    """The Bessel and incomplete gamma functions are those of `special`, to the dtype's precision,
    with gradients."""
    found = []
    for d, m in ((D, tf), (T, torch)):
        wide = lambda x, m=m: m.tensor(x, dtype=m.float64)  # noqa: E731
        x = m.tensor([1.0, 2.0], dtype=m.float64, requires_grad=True)
        chances = d.Gamma(wide([2.0, 2e4]), wide([1.0, 1e4])).cdf(x)
        chances.sum().backward()
        found.append((chances, x.grad))
    for mine, theirs in zip(*found):
        near(mine, theirs, rtol=1e-9, atol=0)
    scipy = pytest.importorskip("scipy.special")
    k = np.array([1e-3, 0.7, 30.0])
    von_mises = D.VonMises(tf.zeros(3, dtype=tf.float64), tf.tensor(k))
    expected = k * (np.cos(0.3) - 1) - np.log(2 * np.pi * scipy.i0e(k))
    got = von_mises.log_prob(tf.tensor(0.3, dtype=tf.float64)).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_expanded_vectors_keep_their_class_and_checks() -> None:
    class Named(D.MultivariateNormal):
        pass

    wide = Named(tf.zeros(2), tf.tensor(M)).expand([3])
    assert type(wide) is Named and tuple(wide.covariance_matrix.shape) == (3, 2, 2)
    with pytest.raises(ValueError, match="match event_shape"):
        wide.log_prob(tf.zeros(3))
