"""The main module of a process that a program run by `mrcnn-plus run` starts (multiprocessing by "spawn").

Python loads the program's main module anew in such a process. `compat/program.py` names this module as the place to
load it from, so that the process has the aliases and the shims too.
"""

import os

from mrcnn_plus import as_mrcnn
from mrcnn_plus.compat import libraries
from mrcnn_plus.compat.copies import PassedOver
from mrcnn_plus.compat.program import PROGRAM_VARIABLE, read_program

as_mrcnn.install(flat=True, found_copy=PassedOver())
_shims = libraries.installed()
_shims.__enter__()  # until the process ends
for _name, _text in read_program(os.environ[PROGRAM_VARIABLE]).parts:
    __file__ = _name
    exec(compile(_text, _name, "exec", dont_inherit=True), globals())
