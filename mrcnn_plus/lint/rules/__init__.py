"""The rules of the linter, one module for each topic. `registry.all_rules` finds every module in this folder.

Codes are stable: CFG settings, DAT data, WGT weights, TRN calls of `train`, INF detection, ENV the machine, LNT the
linter itself. A code that was given up is not used for anything else:

| code | what it was to find | why there is no such rule |
|---|---|---|
| CFG012 | derived values that are stale after a change of the instance | they are properties (`config_base.py`) |
| CFG013 | settings changed after the model was built | the model compares itself (`config_record.py`) and names them |
| CFG017 | another run whose name begins with this NAME | `find_last` takes runs of exactly that name |
| CFG018 | the settings come from a class in another file | every finding shows class, file and line of the setting |
| CFG031 | a function as BACKBONE without COMPUTE_BACKBONE_SHAPE | sizes then follow from BACKBONE_STRIDES |
"""
