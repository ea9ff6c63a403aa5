"""The commands as functions that a notebook can call. Each function does the work, writes files, and returns numbers."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxnet.commands._bang import INSTRUMENTS, Inspection, bang
    from jaxnet.commands._doctor import Checked, doctor
    from jaxnet.commands._predict import Prediction, predict
    from jaxnet.commands._reproduce import Filmed, Reproduced, film, reproduce
    from jaxnet.commands._sweep import Swept, resume_sweep, sweep
    from jaxnet.commands._train import resume, train

_MODULES = {
    "_bang": ("INSTRUMENTS", "Inspection", "bang"),
    "_doctor": ("Checked", "doctor"),
    "_predict": ("Prediction", "predict"),
    "_reproduce": ("Filmed", "Reproduced", "film", "reproduce"),
    "_sweep": ("Swept", "resume_sweep", "sweep"),
    "_train": ("resume", "train"),
}
"""The names that each module defines. A module is imported at the first use of its names, as some modules import matplotlib."""

__all__ = [
    "INSTRUMENTS",
    "Checked",
    "Filmed",
    "Inspection",
    "Prediction",
    "Reproduced",
    "Swept",
    "bang",
    "doctor",
    "film",
    "predict",
    "reproduce",
    "resume",
    "resume_sweep",
    "sweep",
    "train",
]


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"jaxnet.commands.{module}"), name)
    raise AttributeError(f"module 'jaxnet.commands' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
