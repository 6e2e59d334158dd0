"""Turn a program that was written for Matterport's package into one for this package: `mrcnn-plus migrate`.

The program is read with the places of all its parts, and only what has to change is replaced, so comments and layout
stay. What cannot be decided from the text is listed with its line.

    source.py    a program or notebook as text, edits by place, writing it back without losing anything
    names.py     which library a name in the program stands for
    imports.py, renamed.py, sessions.py, polygons.py, older_mrcnn.py    one file for each kind of change
    rewrite.py   all of them together
"""
