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
