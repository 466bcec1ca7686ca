"""Programs that outlive the code that made them: saved, loaded, and exported without Python."""

from .files import load_program, program_of, save_program
from .native import Exported, export
from .program import Input, Program

__all__ = [
    "Exported",
    "Input",
    "Program",
    "export",
    "load_program",
    "program_of",
    "save_program",
]
