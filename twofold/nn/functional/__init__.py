"""torch.nn.functional: layers, activations and losses as functions."""

from functools import partial as _partial

from ...errors import explain_missing as _explain_missing
from ...functions._registry import with_out as _with_out
from ...functions.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from ...functions.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from .activation import (
    celu,
    celu_,
    elu,
    elu_,
    gelu,
    glu,
    gumbel_softmax,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    hardtanh_,
    leaky_relu,
    leaky_relu_,
    log_softmax,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    relu_,
    rrelu,
    rrelu_,
    selu,
    selu_,
    sigmoid,
    silu,
    softmax,
    softmin,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
    threshold,
    threshold_,
)
from .attention import multi_head_attention_forward, scaled_dot_product_attention
from .ctc import ctc_loss
from .distance import cosine_similarity, pairwise_distance, pdist
from .dropout import alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout
from .embedding_bag import embedding_bag
from .fold import fold, max_unpool1d, max_unpool2d, max_unpool3d, unfold
from .fractional import (
    fractional_max_pool2d,
    fractional_max_pool2d_with_indices,
    fractional_max_pool3d,
    fractional_max_pool3d_with_indices,
)
from .linear import bilinear, embedding, linear, one_hot
from .loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_embedding_loss,
    cross_entropy,
    gaussian_nll_loss,
    hinge_embedding_loss,
    huber_loss,
    kl_div,
    l1_loss,
    linear_cross_entropy,
    margin_ranking_loss,
    mse_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    nll_loss,
    poisson_nll_loss,
    smooth_l1_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from .normalization import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    normalize,
    rms_norm,
)
from .padding import pad
from .pooling import lp_pool1d, lp_pool2d, lp_pool3d
from .shuffle import channel_shuffle, native_channel_shuffle, pixel_shuffle, pixel_unshuffle
from .vision import (
    affine_grid,
    grid_sample,
    interpolate,
    upsample,
    upsample_bilinear,
    upsample_nearest,
)

adaptive_max_pool1d_with_indices = _partial(adaptive_max_pool1d, return_indices=True)
adaptive_max_pool2d_with_indices = _partial(adaptive_max_pool2d, return_indices=True)
adaptive_max_pool3d_with_indices = _partial(adaptive_max_pool3d, return_indices=True)
max_pool1d_with_indices = _partial(max_pool1d, return_indices=True)
max_pool2d_with_indices = _partial(max_pool2d, return_indices=True)
max_pool3d_with_indices = _partial(max_pool3d, return_indices=True)

for _name in (
    "adaptive_max_pool2d adaptive_max_pool3d adaptive_avg_pool2d adaptive_avg_pool3d avg_pool2d "
    "avg_pool3d celu elu gelu glu hardshrink hardsigmoid hardswish hardtanh leaky_relu linear "
    "logsigmoid mish silu softplus softshrink"
).split():
    globals()[_name] = _with_out(globals()[_name])

__getattr__ = _explain_missing(__name__, dir())
