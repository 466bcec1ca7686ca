"""torch.sparse: tensors of which few elements are stored, and their products."""

from ..errors import explain_missing as _explain_missing
from .creation import addmm, sparse_coo_tensor, sparse_csr_tensor, spmm
from .tensors import COOTensor, CSRTensor, SparseTensor, mm

__getattr__ = _explain_missing(__name__, dir())
