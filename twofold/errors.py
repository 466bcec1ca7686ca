"""Errors of the user's making, raised as PyTorch's classes, apart from errors of our own."""


class InternalError(Exception):
    """A rule of Twofold's own was broken. Always a defect of Twofold, never of the program run."""


def message(op: str, rule: str, got: object = None, hint: str | None = None) -> str:
    """`[op] rule; got ...; try ...`, the form of every message.

    >>> message("matmul", "inner sizes must be equal", "(2, 3) and (4, 5)", "transpose one of them")
    '[matmul] inner sizes must be equal; got (2, 3) and (4, 5); try transpose one of them'
    """
    text = f"[{op}] {rule}"
    if got is not None:
        text += f"; got {got}"
    if hint is not None:
        text += f"; try {hint}"
    return text


class BadValue(Exception):
    """A value that an op cannot work with, found by its reference as it ran. Whoever runs the op
    turns it into the user's error."""

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value
