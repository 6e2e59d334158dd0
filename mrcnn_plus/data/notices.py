"""Warnings that are worth one line and not a thousand: each kind is logged once in a process.

The rule stands in a file of its own because files, masks and data sets all use it, from several threads at once.
"""

_given = set()


def warn_once(logger, kind, message, *arguments):
    """Log `message % arguments` as a warning of `logger`, the first time that this `kind` occurs.

    kind: any hashable value; it alone decides what counts as the same notice, the text does not.
    """
    if kind in _given:
        return
    _given.add(kind)
    logger.warning(message, *arguments)


def forget_notices():
    """Let every kind of notice be given again; for tests and long-lived notebooks."""
    _given.clear()
