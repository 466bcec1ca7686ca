"""`tf.layers`: layers with variables of their own, named as TensorFlow names them
(`dense/kernel:0`, `conv2d_1/bias:0`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from . import arrays, nn
from . import operations as ops
from .graph import GraphKeys, Tensor, as_dtype, get_default_graph
from .initializers import Ones, Zeros
from .variables import Variable, assign, get_variable, unique_scope, variable_scope


def _axis_size(x: Any, axis: int, layer: str) -> int:
    size = None if x.known is None else x.known[0][axis]
    if size is None:
        raise ValueError(
            f"The last dimension of the inputs to `{layer}` should be defined. Found `None`."
        )
    return size


class Layer:
    """A layer; its variables are made when it is first called."""

    def __init__(
        self, name: str | None = None, trainable: bool = True, dtype: Any = None,
        _reuse: bool | None = None,
    ) -> None:  # fmt: skip
        self.trainable = trainable
        self.dtype = dtype
        self._reuse = _reuse
        self._wished = name
        self.scope: str | None = None
        self.variables: list[Variable] = []
        self.built = False

    @property
    def name(self) -> str:
        """Its name."""
        return self.scope or self._wished or _snake(type(self).__name__)

    @property
    def weights(self) -> list[Variable]:
        """Its variables."""
        return self.variables

    @property
    def trainable_variables(self) -> list[Variable]:
        """Those that optimizers change."""
        return [v for v in self.variables if v.trainable]

    trainable_weights = trainable_variables

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The layer's outputs."""
        inputs = ops.convert_to_tensor(inputs)
        if self.scope is None:
            base = _snake(type(self).__name__)
            self.scope = self._wished or unique_scope(base)
        with variable_scope(self.scope, reuse=self._reuse or (True if self.built else None)):
            if not self.built:
                self.dtype = self.dtype or inputs.dtype
                self.build(inputs)
                self.built = True
            return self.call(inputs, *args, **kwargs)

    apply = __call__

    def add_variable(
        self, name: str, shape: Sequence[int], initializer: Any = None, regularizer: Any = None,
        trainable: bool = True,
    ) -> Variable:  # fmt: skip
        """A variable of the layer."""
        made = get_variable(
            name, shape, self.dtype, initializer, regularizer, trainable and self.trainable
        )
        self.variables.append(made)
        return made

    def build(self, inputs: Tensor) -> None:
        """Make the variables."""

    def call(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The outputs."""
        raise NotImplementedError


def _snake(name: str) -> str:
    text = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
    return text.replace("conv2_d", "conv2d").replace("pooling2_d", "pooling2d").replace(
        "conv1_d", "conv1d"
    )  # fmt: skip


class _Weighted(Layer):
    """A layer with a kernel, a bias and an activation."""

    def __init__(
        self, activation: Callable[..., Any] | None = None, use_bias: bool = True,
        kernel_initializer: Any = None, bias_initializer: Any = None,
        kernel_regularizer: Any = None, bias_regularizer: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        for unused in ("activity_regularizer", "kernel_constraint", "bias_constraint"):
            if options.pop(unused, None) is not None:
                raise NotImplementedError(f"[layers] {unused} is not supported")
        super().__init__(**options)
        self.activation, self.use_bias = activation, use_bias
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer or Zeros()
        self.kernel_regularizer, self.bias_regularizer = kernel_regularizer, bias_regularizer

    def _add(self, kernel: Sequence[int], outputs: int) -> None:
        if self.dtype is not None and not as_dtype(self.dtype).is_inexact:
            raise TypeError(
                f"Unable to build `{type(self).__name__}` layer with non-floating point dtype "
                f"{as_dtype(self.dtype).name}"
            )
        self.kernel = self.add_variable(
            "kernel", kernel, self.kernel_initializer, self.kernel_regularizer
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_variable(
                "bias", [outputs], self.bias_initializer, self.bias_regularizer
            )

    def _finish(self, y: Any, data_format: str = "NHWC") -> Any:
        if self.bias is not None:
            y = nn.bias_add(y, self.bias, data_format)
        return y if self.activation is None else self.activation(y)


class Dense(_Weighted):
    """activation(x kernel + bias)."""

    def __init__(
        self, units: int, activation: Any = None, use_bias: bool = True, **options: Any
    ) -> None:
        super().__init__(activation, use_bias, **options)
        self.units = int(units)

    def build(self, inputs: Tensor) -> None:
        """Make kernel and bias."""
        self._add([_axis_size(inputs, -1, "Dense"), self.units], self.units)

    def call(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The outputs."""
        if inputs.ndim is None or inputs.ndim == 2:
            return self._finish(ops.matmul(inputs, self.kernel))
        return self._finish(ops.tensordot(inputs, self.kernel, [[inputs.ndim - 1], [0]]))


def _form(data_format: str) -> str:
    """TensorFlow's name for an order of axes. ValueError for another than the two."""
    forms = {"channels_last": "NHWC", "channels_first": "NCHW"}
    if data_format not in forms:
        raise ValueError(
            f"The `data_format` argument must be one of {list(forms)}; got {data_format!r}"
        )
    return forms[data_format]


def _pair(value: Any, n: int = 2) -> tuple[int, ...]:
    return (value,) * n if isinstance(value, int) else tuple(value)


class Conv2D(_Weighted):
    """activation(convolution(x, kernel) + bias)."""

    rank = 2

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
        data_format: str = "channels_last", dilation_rate: Any = 1, activation: Any = None,
        use_bias: bool = True, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(activation, use_bias, **options)
        self.filters, self.kernel_size = int(filters), _pair(kernel_size, self.rank)
        self.strides, self.dilation_rate = (
            _pair(strides, self.rank),
            _pair(dilation_rate, self.rank),
        )
        self.padding = padding
        self.data_format = _form(data_format)

    def _inputs(self, inputs: Tensor) -> int:
        return _axis_size(inputs, -1 if self.data_format == "NHWC" else 1, type(self).__name__)

    def build(self, inputs: Tensor) -> None:
        """Make kernel and bias."""
        self._add([*self.kernel_size, self._inputs(inputs), self.filters], self.filters)

    def call(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The outputs."""
        y = nn.conv2d(
            inputs, self.kernel, self.strides, self.padding, data_format=self.data_format,
            dilations=self.dilation_rate,
        )  # fmt: skip
        return self._finish(y, self.data_format)


class Conv1D(Conv2D):
    """activation(convolution(x, kernel) + bias) along one axis."""

    rank = 1

    def call(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The outputs."""
        form = "NWC" if self.data_format == "NHWC" else "NCW"
        y = nn.conv1d(
            inputs, self.kernel, self.strides[0], self.padding, form, self.dilation_rate[0]
        )
        return self._finish(y, self.data_format)


class Conv2DTranspose(Conv2D):
    """activation(transposed convolution(x, kernel) + bias). ValueError for a `dilation_rate`."""

    def build(self, inputs: Tensor) -> None:
        """Make kernel and bias."""
        if self.dilation_rate != (1, 1):
            raise ValueError(f"[conv2d_transpose] takes no dilation_rate; got {self.dilation_rate}")
        self._add([*self.kernel_size, self.filters, self._inputs(inputs)], self.filters)

    def call(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The outputs."""
        y = nn.conv2d_transpose(
            inputs, self.kernel, None, self.strides, self.padding, self.data_format
        )
        return self._finish(y, self.data_format)


class _Pooling2D(Layer):
    """A window moved over a picture."""

    pool: Any = None

    def __init__(
        self, pool_size: Any, strides: Any, padding: str = "valid",
        data_format: str = "channels_last", **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.pool_size, self.strides, self.padding = _pair(pool_size), _pair(strides), padding
        self.data_format = _form(data_format)

    def call(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The outputs."""
        return type(self).pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


class MaxPooling2D(_Pooling2D):
    """The largest element of each window."""

    pool = nn.max_pool


class AveragePooling2D(_Pooling2D):
    """The mean of each window."""

    pool = nn.avg_pool


class Flatten(Layer):
    """All axes but the first as one."""

    def call(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The outputs."""
        sizes = [] if inputs.known is None else [n for n in inputs.known[0][1:] if n is not None]
        if inputs.known is None or len(sizes) < len(inputs.known[0]) - 1:
            return arrays.reshape(inputs, [arrays.shape(inputs)[0], -1])
        return arrays.reshape(inputs, [-1, math.prod(sizes)])


class Dropout(Layer):
    """Elements dropped while training."""

    def __init__(
        self, rate: Any = 0.5, noise_shape: Any = None, seed: int | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.rate, self.noise_shape, self.seed = rate, noise_shape, seed

    def call(self, inputs: Tensor, training: Any = False, *args: Any, **kwargs: Any) -> Any:
        """The outputs."""
        if training is False or training is None:
            return arrays.identity(inputs)
        dropped = nn.dropout(inputs, 1 - self.rate, self.noise_shape, self.seed)
        return dropped if training is True else arrays.where(training, dropped, inputs)


class BatchNormalization(Layer):
    """(x - mean) / sqrt(variance + epsilon) gamma + beta; while training, of the batch, whose
    moments the moving ones follow by the operations in GraphKeys.UPDATE_OPS."""

    def __init__(
        self, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, center: bool = True,
        scale: bool = True, beta_initializer: Any = None, gamma_initializer: Any = None,
        moving_mean_initializer: Any = None, moving_variance_initializer: Any = None,
        fused: Any = None, renorm: bool = False, beta_regularizer: Any = None,
        gamma_regularizer: Any = None, beta_constraint: Any = None, gamma_constraint: Any = None,
        virtual_batch_size: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        if renorm or beta_constraint or gamma_constraint or virtual_batch_size:
            raise NotImplementedError(
                "[batch_normalization] renorm, constraints and virtual_batch_size are not supported"
            )
        self.regularizers = gamma_regularizer, beta_regularizer
        super().__init__(**options)
        self.axis, self.momentum, self.epsilon = axis, momentum, epsilon
        self.center, self.scale = center, scale
        self.starts = (
            gamma_initializer or Ones(), beta_initializer or Zeros(),
            moving_mean_initializer or Zeros(), moving_variance_initializer or Ones(),
        )  # fmt: skip

    def build(self, inputs: Tensor) -> None:
        """Make the variables."""
        n = [_axis_size(inputs, self.axis, "BatchNormalization")]
        gamma, beta, mean, variance = self.starts
        for_gamma, for_beta = self.regularizers
        self.gamma = self.add_variable("gamma", n, gamma, for_gamma) if self.scale else None
        self.beta = self.add_variable("beta", n, beta, for_beta) if self.center else None
        self.moving_mean = self.add_variable("moving_mean", n, mean, trainable=False)
        self.moving_variance = self.add_variable("moving_variance", n, variance, trainable=False)

    def call(self, inputs: Tensor, training: Any = False, *args: Any, **kwargs: Any) -> Any:
        """The outputs."""
        rank = inputs.ndim
        assert rank is not None
        axes = [a for a in range(rank) if a != self.axis % rank]
        mean: Any = self.moving_mean
        variance: Any = self.moving_variance
        if training is not False and training is not None:
            batch_mean, batch_variance = nn.moments(inputs, axes)
            if training is not True:
                batch_mean = arrays.where(training, batch_mean, mean)
                batch_variance = arrays.where(training, batch_variance, variance)
            for moving, now in ((mean, batch_mean), (variance, batch_variance)):
                new = moving * self.momentum + now * (1 - self.momentum)
                get_default_graph().add_to_collection(GraphKeys.UPDATE_OPS, assign(moving, new).op)
            mean, variance = batch_mean, batch_variance
        shape = [-1 if a == self.axis % rank else 1 for a in range(rank)]
        parts = [
            None if v is None else arrays.reshape(v, shape)
            for v in (mean, variance, self.beta, self.gamma)
        ]
        return nn.batch_normalization(inputs, *parts, self.epsilon)


def dense(
    inputs: Any,
    units: int,
    activation: Any = None,
    use_bias: bool = True,
    reuse: Any = None,
    **options: Any,
) -> Tensor:
    """activation(x kernel + bias) with variables of its own."""
    return Dense(units, activation, use_bias, _reuse=reuse, **options)(inputs)


def conv2d(
    inputs: Any, filters: int, kernel_size: Any, *args: Any, reuse: Any = None, **options: Any
) -> Tensor:
    """activation(convolution(x, kernel) + bias) with variables of its own."""
    return Conv2D(filters, kernel_size, *args, _reuse=reuse, **options)(inputs)


def conv1d(
    inputs: Any, filters: int, kernel_size: Any, *args: Any, reuse: Any = None, **options: Any
) -> Tensor:
    """activation(convolution(x, kernel) + bias) along one axis, with variables of its own."""
    return Conv1D(filters, kernel_size, *args, _reuse=reuse, **options)(inputs)


def conv2d_transpose(
    inputs: Any, filters: int, kernel_size: Any, *args: Any, reuse: Any = None, **options: Any
) -> Tensor:
    """activation(transposed convolution(x, kernel) + bias) with variables of its own."""
    return Conv2DTranspose(filters, kernel_size, *args, _reuse=reuse, **options)(inputs)


def max_pooling2d(inputs: Any, pool_size: Any, strides: Any, *args: Any, **options: Any) -> Tensor:
    """The largest element of each window."""
    return MaxPooling2D(pool_size, strides, *args, **options)(inputs)


def average_pooling2d(
    inputs: Any, pool_size: Any, strides: Any, *args: Any, **options: Any
) -> Tensor:
    """The mean of each window."""
    return AveragePooling2D(pool_size, strides, *args, **options)(inputs)


def flatten(inputs: Any, name: str | None = None, data_format: str = "channels_last") -> Tensor:
    """All axes but the first as one, the channels last."""
    if _form(data_format) == "NCHW" and inputs.ndim not in (0, 1, 2):
        if inputs.ndim is None:
            raise ValueError("[flatten] the number of axes must be known where channels are first")
        inputs = arrays.transpose(inputs, [0, *range(2, inputs.ndim), 1])
    return Flatten(name=name)(inputs)


def dropout(
    inputs: Any,
    rate: Any = 0.5,
    noise_shape: Any = None,
    seed: Any = None,
    training: Any = False,
    name: str | None = None,
) -> Tensor:
    """Elements dropped while training."""
    return Dropout(rate, noise_shape, seed, name=name)(inputs, training)


def batch_normalization(
    inputs: Any,
    axis: int = -1,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    training: Any = False,
    reuse: Any = None,
    **options: Any,
) -> Tensor:
    """Normalised by the moments of the batch while training, by the moving ones else."""
    return BatchNormalization(axis, momentum, epsilon, center, scale, _reuse=reuse, **options)(
        inputs, training
    )
