"""torch.fft: discrete Fourier transforms, by numpy.fft as steps of a plan (`ops/fourier.py`).

`norm` says where the factor is: "backward" (the default) 1/n on the inverse, "forward" 1/n on the
forward transform, "ortho" 1/sqrt(n) on both.
"""

from ..errors import explain_missing as _explain_missing
from ..functions._registry import with_out as _with_out
from ..functions.casting import in_float32 as _in_float32
from .shift import fftfreq, fftshift, ifftshift, rfftfreq
from .transforms import (
    fft,
    fft2,
    fftn,
    hfft,
    hfft2,
    hfftn,
    ifft,
    ifft2,
    ifftn,
    ihfft,
    ihfft2,
    ihfftn,
    irfft,
    irfft2,
    irfftn,
    rfft,
    rfft2,
    rfftn,
)

for _name, _value in list(globals().items()):
    if callable(_value) and not _name.startswith("_"):
        globals()[_name] = _with_out(_in_float32(_value))

__getattr__ = _explain_missing(__name__, dir())
