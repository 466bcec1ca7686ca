"""Static graphs: defined first, run afterwards, with TensorFlow 1's names.

    import twofold.static as tf

    x = tf.placeholder(tf.float32, [None, 784])
    y = tf.placeholder(tf.int64, [None])
    loss = tf.losses.sparse_softmax_cross_entropy(y, tf.layers.dense(x, 10))
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train, {x: images, y: labels})

A graph's nodes are symbols (`symbol.py`); a session turns what is fetched into one function of the
engine, compiled once for each set of fetches and sizes. `twofold.function`, `twofold.placeholder`
and `twofold.shared` define graphs with PyTorch's names for operations.
"""

from __future__ import annotations

from .. import dtypes as _dtypes
from ..dtypes import (
    DType,
    bfloat16,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from ..errors import explain_missing as _explain_missing
from . import arrays, draws, errors, initializers, layers, losses, nn, operations, summary, train
from .expression import apply, grad
from .flow import case, cond, foldl, foldr, map_fn, scan, while_loop
from .function import In
from .graph import (
    Graph,
    GraphKeys,
    Operation,
    Tensor,
    add_to_collection,
    as_dtype,
    control_dependencies,
    device,
    get_collection,
    get_default_graph,
    group,
    name_scope,
    no_op,
    placeholder,
    reset_default_graph,
    set_random_seed,
)
from .initializers import (
    constant_initializer,
    glorot_normal_initializer,
    glorot_uniform_initializer,
    ones_initializer,
    random_normal_initializer,
    random_uniform_initializer,
    truncated_normal_initializer,
    variance_scaling_initializer,
    zeros_initializer,
)
from .optimizers import gradients
from .session import InteractiveSession, NeverUpdated, Session, get_default_session
from .sizes import Dimension, TensorShape
from .variables import (
    AUTO_REUSE,
    Variable,
    VariableScope,
    all_variables,
    assign,
    assign_add,
    assign_sub,
    get_variable,
    get_variable_scope,
    global_variables,
    global_variables_initializer,
    initialize_all_variables,
    local_variables,
    local_variables_initializer,
    trainable_variables,
    variable_scope,
    variables_initializer,
)

_HELPERS = ("value_of", "pair", "axes_of", "sizes_of", "range_", "seeded")
for _module in (operations, arrays, draws):
    for _name, _value in vars(_module).items():
        if getattr(_value, "__module__", None) == _module.__name__ and _name not in _HELPERS:
            globals().setdefault(_name, _value)
range = arrays.range_
bool = _dtypes.bool_
float, double, int = float32, float64, int32
newaxis = None
sigmoid, tanh = nn.sigmoid, nn.tanh

__getattr__ = _explain_missing(__name__, list(globals()))
