"""How the linter measures what its rules look at: image files, annotations, pixels, augmentation, weights, machine.

`lint/facts.py` calls these when a rule asks for the first time.
"""
