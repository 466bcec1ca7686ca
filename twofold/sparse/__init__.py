"""torch.sparse: tensors of which few elements are stored, and their products."""

from ..errors import explain_missing as _explain_missing
from .creation import sparse_coo_tensor, sparse_csr_tensor, spdiags
from .functions import log_softmax, softmax, sum
from .products import addmm, hspmm, mm, sampled_addmm, smm, spmm, sspaddmm
from .tensors import COOTensor, CSRTensor, SparseTensor

__getattr__ = _explain_missing(__name__, dir())
