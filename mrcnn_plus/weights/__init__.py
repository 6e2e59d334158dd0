"""Weights files: Matterport's HDF5 layout in and out, load reports, pretrained files and checkpoint names.

Reading order: `matterport_h5` (what a file holds), `tensor_tree` (file and network in the same form),
`matching` (which tensor belongs to which variable), `loading` (decide, assign, verify), `report` (what came of it).
`download` and `pretrained` fetch files, `checkpoints` knows Matterport's folder and file names. Nothing here imports
Keras.
"""
