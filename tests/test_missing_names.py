"""What a name that is not there says."""

from __future__ import annotations

import pytest

import twofold as tf
from twofold import missing_names


def test_modules_and_tensors_name_the_nearest() -> None:
    with pytest.raises(AttributeError, match="nearest is 'softmax'"):
        tf.sofmax  # noqa: B018
    with pytest.raises(AttributeError, match="nearest is 'unsqueeze'"):
        tf.ones(2).unsqueze(0)
    with pytest.raises(AttributeError, match="nearest is 'Linear'"):
        tf.nn.Linaer  # noqa: B018
    assert not hasattr(tf.ones(2), "_nothing")


def test_reasons_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = {"Tensor": {"no such hardware": "xyz_"}, "nn": {"no such layer": "Xyz"}}
    monkeypatch.setattr(missing_names, "REASONS", reasons)
    with pytest.raises(AttributeError, match="no such hardware"):
        tf.ones(2).xyz_()
    with pytest.raises(AttributeError, match="no such layer"):
        tf.nn.Xyz()
