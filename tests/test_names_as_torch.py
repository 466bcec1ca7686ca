"""Names that libraries of models take from where PyTorch keeps them."""

from __future__ import annotations

from pathlib import Path

from test_run_as_torch import run


def test_names_that_libraries_of_models_import(tmp_path: Path) -> None:
    """timm, torchvision and transformers take these from where PyTorch keeps them."""
    out = run(
        tmp_path,
        """
        import torch
        from torch.distributions.multivariate_normal import MultivariateNormal
        from torch.distributions.normal import Normal
        from torch.nn.modules.activation import MultiheadAttention
        from torch.nn.modules.module import _IncompatibleKeys
        from torch.nn.modules.transformer import _get_activation_fn
        import torch.distributions as distributions

        assert Normal is distributions.Normal and MultiheadAttention is torch.nn.MultiheadAttention
        assert _get_activation_fn("gelu") is torch.nn.functional.gelu
        assert torch._shape_as_tensor(torch.ones(2, 3)).tolist() == [2, 3]
        assert issubclass(torch.OutOfMemoryError, RuntimeError)
        torch.compiler.reset()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.is_autocast_cpu_enabled() and torch.is_autocast_enabled("cpu")
            assert torch.get_autocast_dtype("cpu") is torch.bfloat16
        print(torch.nn.Linear(2, 2).load_state_dict({}, strict=False))
        """,
    )
    assert out.startswith("_IncompatibleKeys(missing_keys=['weight', 'bias']")


def test_modules_that_are_elsewhere_in_twofold(tmp_path: Path) -> None:
    """Importing them leaves functions of the same names callable."""
    out = run(
        tmp_path,
        """
        import torch
        from torch.nn.utils.weight_norm import weight_norm
        from torch.nn.utils.spectral_norm import spectral_norm
        from torch.autograd.gradcheck import gradgradcheck
        from torch.autograd.function import Function, once_differentiable
        from torch.autograd.variable import Variable
        from torch.autograd.grad_mode import no_grad
        from torch.functional import einsum, norm
        from torch.utils.hooks import RemovableHandle
        from torch.utils.dlpack import to_dlpack, from_dlpack
        from torch.optim.adamw import AdamW
        from torch.optim.rmsprop import RMSprop
        from torch.overrides import has_torch_function, handle_torch_function
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors
        import torch.xpu, torch.cpu
        assert torch.optim.AdamW is AdamW and torch.optim.RMSprop is RMSprop
        assert torch.autograd.Function is Function
        assert torch.nn.utils.weight_norm is weight_norm
        assert torch.nn.utils.spectral_norm is spectral_norm
        assert callable(torch.autograd.gradcheck), torch.autograd.gradcheck
        h = torch.nn.Linear(1, 1).register_forward_hook(print)
        assert isinstance(h, RemovableHandle), type(h)
        h.remove()
        a = [torch.ones(2, 2), torch.zeros(3)]
        f = _flatten_dense_tensors(a)
        assert [t.shape for t in _unflatten_dense_tensors(f, a)] == [t.shape for t in a]
        assert from_dlpack(to_dlpack(torch.arange(3))).tolist() == [0, 1, 2]
        assert not torch.xpu.is_available() and torch.cpu.is_available()
        x = Variable(torch.ones(2), requires_grad=True)
        assert einsum("i,i->", x, x).item() == 2 and torch.functional.norm is norm
        assert not has_torch_function((x,))
        with sdpa_kernel([SDPBackend.MATH]), no_grad():
            names = once_differentiable, gradgradcheck, handle_torch_function
            print(*(f.__name__ for f in names))
        """,
    )
    assert out.split() == ["once_differentiable", "gradgradcheck", "handle_torch_function"]
