"""`tf.errors`: what a run may raise."""


class OpError(RuntimeError):
    """A run failed."""

    @property
    def message(self) -> str:
        """What is wrong."""
        return str(self)


class InvalidArgumentError(OpError, ValueError):
    """A value that an operation cannot work with."""


class FailedPreconditionError(OpError):
    """A variable has no value yet."""


class NotFoundError(OpError):
    """A file, or what was looked for in it, is not there."""


class OutOfRangeError(OpError):
    """A data set has come to its end."""
