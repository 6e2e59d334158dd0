"""The rules that judge the history of a training run (RUN), one module for each topic.

`registry.all_rules` finds every module in this folder; `lint.engine.judge(facts, HISTORY)` runs them.
"""
