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
