"""Which emitter makes the code of which kind of kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from ..kernels.attention import AttentionSpec
from ..kernels.compact import CompactSpec
from ..kernels.conv import ConvSpec, TurnedWeightsSpec, WeightsSpec
from ..kernels.conv_weight import CombineSpec, ConvWeightSpec
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
from . import (
    attention,
    compact,
    conv,
    conv_weight,
    loops,
    matmul,
    matvec,
    pool,
    scan,
    scatter,
    sort,
    transpose,
    winograd,
    winograd_weight,
)

EMITTERS: dict[type, Callable[[Any, Target], ir.Module]] = {
    AttentionSpec: attention.emit,
    CombineSpec: conv_weight.emit_combine,
    CompactSpec: compact.emit,
    ConvSpec: conv.emit,
    ConvWeightSpec: conv_weight.emit,
    LoopKernel: loops.emit,
    MatmulSpec: matmul.emit,
    MatvecSpec: matvec.emit,
    PoolMaxInputSpec: pool.emit,
    ScatterSpec: scatter.emit,
    ScanSpec: scan.emit,
    CarrySpec: scan.emit_carry,
    SortSpec: sort.emit,
    TopSpec: sort.emit_top,
    SearchSpec: sort.emit_search,
    TransposeSpec: transpose.emit,
    TurnedWeightsSpec: conv.emit_turned_weights,
    WeightsSpec: conv.emit_weights,
    WinogradCombineSpec: winograd_weight.emit_combine,
    WinogradSpec: winograd.emit,
    WinogradTurnSpec: winograd_weight.emit_turn,
    WinogradWeightsSpec: winograd.emit_weights,
}


def emit(spec: Any, target: Target) -> ir.Module:
    """The module of a kernel."""
    return EMITTERS[type(spec)](spec, target)
