"""The rules of the linter, one module for each topic. `registry.all_rules` finds every module in this folder."""
