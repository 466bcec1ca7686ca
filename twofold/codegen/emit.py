"""Which emitter makes the code of which kind of kernel."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ..kernels.attention import AttentionSpec
from ..kernels.blocks import BlocksSpec
from ..kernels.compact import CompactSpec
from ..kernels.conv import ConvSpec, TurnedWeightsSpec, WeightsSpec
from ..kernels.conv_weight import CombineSpec, ConvWeightSpec
from ..kernels.depthwise import DepthwiseSpec, DepthwiseWeightSpec
from ..kernels.loops import LoopKernel
from ..kernels.matmul import MatmulSpec
from ..kernels.matvec import MatvecSpec
from ..kernels.pool import PoolMaxInputSpec
from ..kernels.scan import CarrySpec, ScanSpec
from ..kernels.scatter import ScatterSpec
from ..kernels.sort import SearchSpec, SortSpec, TopSpec
from ..kernels.transpose import TransposeSpec
from ..kernels.winograd import WinogradSpec, WinogradWeightsSpec
from ..kernels.winograd_weight import WinogradCombineSpec, WinogradTurnSpec
from ..machine import Target

if TYPE_CHECKING:
    from llvmlite import ir

EMITTERS = {
    AttentionSpec: "attention.emit",
    BlocksSpec: "blocks.emit",
    CombineSpec: "conv_weight.emit_combine",
    CompactSpec: "compact.emit",
    ConvSpec: "conv.emit",
    ConvWeightSpec: "conv_weight.emit",
    DepthwiseSpec: "depthwise.emit",
    DepthwiseWeightSpec: "depthwise_weight.emit",
    LoopKernel: "rows.emit",
    MatmulSpec: "matmul.emit",
    MatvecSpec: "matvec.emit",
    PoolMaxInputSpec: "pool.emit",
    ScatterSpec: "scatter.emit",
    ScanSpec: "scan.emit",
    CarrySpec: "scan.emit_carry",
    SortSpec: "sort.emit",
    TopSpec: "sort.emit_top",
    SearchSpec: "sort.emit_search",
    TransposeSpec: "transpose.emit",
    TurnedWeightsSpec: "conv.emit_turned_weights",
    WeightsSpec: "conv.emit_weights",
    WinogradCombineSpec: "winograd_weight.emit_combine",
    WinogradSpec: "winograd.emit",
    WinogradTurnSpec: "winograd_weight.emit_turn",
    WinogradWeightsSpec: "winograd.emit_weights",
}
"""The module and function that emit each kind of kernel. A module is loaded when the first of its
kernels is compiled: kernels that come from the cache on disk need none."""


def emit(spec: Any, target: Target) -> ir.Module:
    """The module of a kernel."""
    module, _, function = EMITTERS[type(spec)].partition(".")
    return getattr(importlib.import_module(f".{module}", __package__), function)(spec, target)
