"""The import hook: `torch`, `tensorflow` or `theano`, and all below it, come from Twofold, in this
process and its children.

A name such as `torch.nn.functional` is looked for in several packages, the most special first: the
additions of an old version, the additions of `twofold.run.torch`, Twofold itself. Where one of them
has it, `torch.nn.functional` is that module, not a copy, so what a program sets there is set.
Where several have it, it is a `Layered` module that looks into each in turn.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ..errors import explain_missing
from . import children, spelling

TWOFOLD = __name__.split(".")[0]
ADDITIONS = f"{TWOFOLD}.run.torch"

MOVED = {
    "autograd.function": "autograd",
    "autograd.grad_mode": "autograd",
    "functional": "",
    "nn.modules.instancenorm": "nn.modules.batchnorm",
    "nn.parameter": "nn.parameter",
    "utils.hooks": "nn.hooks",
    "utils.data.dataloader": "utils.data.loader",
    "utils.data._utils": "utils.data",
    "utils.data._utils.collate": "utils.data.collate",
    **dict.fromkeys(
        (f"optim.{name}" for name in "adadelta adamax adamw asgd nadam radam rmsprop".split()),
        "optim",
    ),
    **{
        f"distributions.{name}": "distributions"
        for name in (
            "bernoulli beta binomial cauchy chi2 continuous_bernoulli dirichlet exp_family "
            "exponential fishersnedecor gamma geometric gumbel half_cauchy half_normal independent "
            "inverse_gamma kumaraswamy laplace lkj_cholesky log_normal logistic_normal "
            "lowrank_multivariate_normal mixture_same_family multinomial multivariate_normal "
            "negative_binomial normal one_hot_categorical pareto poisson relaxed_bernoulli "
            "relaxed_categorical studentT transformed_distribution uniform von_mises weibull "
            "wishart"
        ).split()
    },
}
"""Modules that have another place in Twofold."""

SHADOWED = {
    "torch.autograd": {"gradcheck": "autograd"},
    "torch.nn.utils": {"spectral_norm": "nn.utils", "weight_norm": "nn.utils.weight_norm"},
}
"""Modules whose names are those of functions in the package above: they are entered when it is,
since importing one later would put it in the function's place."""


class Layered(ModuleType):
    """A module that looks a name up in several, and keeps what it found."""

    def __init__(self, name: str, layers: Sequence[ModuleType]) -> None:
        super().__init__(name, layers[0].__doc__)
        self.__layers__ = tuple(layers)

    def __getattr__(self, name: str) -> Any:
        missing = object()
        value: Any = missing
        for layer in self.__layers__:
            value = getattr(layer, name, missing)
            if value is not missing:
                break
        below = f"{self.__name__}.{name}"
        if isinstance(value, ModuleType) or (value is missing and name[:2] != "__"):
            # A module may have layers of its own, or not be loaded yet.
            value = importlib.import_module(below) if find(below) else value
        if value is missing:
            return explain_missing(self.__name__, dir(self))(name)
        self.__dict__[name] = value
        return value

    def __dir__(self) -> list[str]:
        names = {name for layer in self.__layers__ for name in dir(layer)}
        return sorted(names | set(self.__dict__))


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


VERSIONS: dict[str, dict[str, list[str]]] = {
    "torch": {
        "": [ADDITIONS, TWOFOLD],
        "0.1": [f"{TWOFOLD}.run.torch_0_1", ADDITIONS, TWOFOLD],
    },
    "tensorflow": {"1": [f"{TWOFOLD}.run.tensorflow", f"{TWOFOLD}.static"]},
    "theano": {"": [f"{TWOFOLD}.run.theano"]},
}
"""The packages that Twofold can take the place of, and where their names are looked for, by
version."""

_packages: dict[str, list[str]] = {}


def find(name: str) -> list[str]:
    """The modules of Twofold that `name` stands for, which is below a package that was
    installed."""
    root, _, rest = name.partition(".")
    packages = _packages[root]
    if not rest:
        return list(packages)
    places = [f"{package}.{rest}" for package in packages]
    if packages[-1] == TWOFOLD:
        places[-1] = f"{TWOFOLD}.{MOVED.get(rest, rest)}".rstrip(".")
    return [place for place in places if _exists(place)]


class _Loader(Loader):
    """Puts Twofold's module where the import system expects the one that was asked for."""

    def __init__(self, places: Sequence[str]) -> None:
        self.places = places

    def exec_module(self, module: ModuleType) -> None:
        layers = [importlib.import_module(place) for place in self.places]
        name = module.__name__
        for below, place in SHADOWED.get(name, {}).items():
            sys.modules[f"{name}.{below}"] = importlib.import_module(f"{TWOFOLD}.{place}")
        if len(layers) == 1:
            sys.modules[name] = layers[0]
            return
        layered = Layered(name, layers)
        layered.__path__ = []
        layered.__spec__, layered.__package__ = module.__spec__, name
        sys.modules[name] = layered


class Finder(MetaPathFinder):
    """Finds the packages that were installed and what is below them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The specification of a module that Twofold has; ModuleNotFoundError with the nearest
        name for one of the package's that it has not."""
        if fullname.partition(".")[0] not in _packages:
            return None
        places = find(fullname)
        if not places:
            parent, _, last = fullname.rpartition(".")
            value = getattr(sys.modules[parent], last, None)
            if not isinstance(value, ModuleType):
                raise _missing(parent, last, fullname)
            places = [value.__name__]
        return ModuleSpec(fullname, _Loader(places), is_package=True)


def _missing(parent: str, last: str, fullname: str) -> ModuleNotFoundError:
    """The error that says that Twofold has no such module."""
    try:
        explain_missing(parent, dir(sys.modules[parent]))(last)
    except AttributeError as error:
        near = str(error).partition(";")[2]
    root = fullname.partition(".")[0]
    text = f"No module named {fullname!r}: Twofold, run as {root}, has none"
    return ModuleNotFoundError(f"{text};{near}" if near else text, name=fullname)


def install(name: str = "torch", version: str = "") -> None:
    """Let `import torch`, or another name, mean Twofold from here on; with version "0.1", as
    PyTorch 0.1 spelled it.

    ImportError where the package was imported already, ValueError for one that Twofold has no
    place for.
    """
    if name in sys.modules:
        raise ImportError(f"[run] {name} is imported already; install the finder before that")
    versions = VERSIONS.get(name)
    if versions is None or version not in versions:
        known = [f"{n}=={v}" if v else n for n, found in VERSIONS.items() for v in found]
        raise ValueError(
            f"[run] Twofold takes the place of {', '.join(known)}; got "
            f"{name}{'==' if version else ''}{version}; try --as torch"
        )
    _packages[name] = versions[version]
    for package in versions[version]:
        if _exists(f"{package}.semantics"):
            importlib.import_module(f"{package}.semantics").apply()
    sys.meta_path.insert(0, Finder())
    if name == "torch":
        spelling.apply()
    children.prepare(install, name, version)
