"""Why names of PyTorch's are not here, for errors and for the documentation."""

from __future__ import annotations

_QUANTIZED = "quantized tensors are not here"
_GPU = "it belongs to accelerators, and this build has the device 'cpu' only"
_SPARSE = "of the sparse layouts COO and CSR are here"
_SCRIPT = "TorchScript is not here: every graph is compiled as it is met"

REASONS: dict[str, dict[str, str]] = {
    "torch": {
        _QUANTIZED: "dequantize fake_quantize_per_channel_affine fake_quantize_per_tensor_affine "
        "quantize_per_channel quantize_per_tensor quantize_per_tensor_dynamic "
        "quantized_batch_norm quantized_max_pool1d quantized_max_pool2d",
        _GPU: "AcceleratorError Event OutOfMemoryError Stream get_device_module",
        _SPARSE: "ccol_indices_copy row_indices_copy sparse_bsc_tensor sparse_bsr_tensor "
        "sparse_compressed_tensor sparse_csc_tensor",
        _SCRIPT: "fork wait",
        "not yet": "conv_tbc lobpcg col_indices_copy crow_indices_copy "
        "indices_copy values_copy masked signal nested export onnx",
    },
    "Tensor": {
        _QUANTIZED: "dequantize int_repr q_per_channel_axis q_per_channel_scales "
        "q_per_channel_zero_points q_scale q_zero_point qscheme",
        _SPARSE: "ccol_indices row_indices to_sparse_bsc to_sparse_bsr to_sparse_csc",
        "there is no oneDNN here": "to_mkldnn",
        "nested tensors are not here": "to_padded_tensor",
        "storages are not handed out; a tensor's memory is seen through numpy() or DLPack":
        "storage storage_type untyped_storage",
        "not yet": "grad_dtype index",
    },
    "nn.functional": {
        "8-bit floating-point numbers are not here": "scaled_mm scaled_grouped_mm",
        "not yet": "conv_tbc grouped_mm",
    },
    "autograd": {
        "gradients are graphs built in the calling thread": "set_multithreading_enabled",
    },
    "utils.data": {
        "distributed training is not here": "DistributedSampler",
        "PyTorch itself has given up data pipes": "IterDataPipe MapDataPipe",
    },
    "sparse": {
        "2:4 sparsity is a feature of NVIDIA's GPUs": "SparseSemiStructuredTensor "
        "SparseSemiStructuredTensorCUSPARSELT SparseSemiStructuredTensorCUTLASS "
        "to_sparse_semi_structured",
        "what is given is always checked": "check_sparse_tensor_invariants",
    },
}  # fmt: skip
"""For each namespace, names (with spaces between) by the reason."""


def reason_of(namespace: str, name: str) -> str | None:
    """Why `name` is missing in a namespace; None where nothing is known."""
    for reason, names in REASONS.get(namespace, {}).items():
        if name in names.split():
            return reason
    return None
