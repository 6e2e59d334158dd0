"""Shims for programs of Matterport's time: what NumPy, TensorFlow, Keras, scikit-image, ... no longer have.

Only `mrcnn-plus run` installs them, for the program that it runs. A shim answers the user's own files; libraries, and
this package, see today's libraries as they are. Every shim is one unit: the name that a program writes, what answers
for it, and the line to write today. What a program really used is recorded and listed when it ends.

    shims.py            a shim, the record of uses, and what counts as the user's own file
    patching.py         how shims come into a module when it is imported
    libraries.py        the list of all
    numpy_names.py, tensorflow_1.py, keras_2.py, ...   one file for each library, or part of one
    copies.py        copies of Matterport's package beside the program
    program.py          running a program or notebook as Python would
"""
