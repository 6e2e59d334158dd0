"""Judges a run after each of its epochs, tells a new verdict once, and keeps them in `verdicts.json`."""

import json
import logging
import os

import keras

from mrcnn_plus.atomic_files import read_json, replacing
from mrcnn_plus.diagnosis.history import History
from mrcnn_plus.diagnosis.verdicts import verdicts_on
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.lint.findings import INFO, SEVERITIES, Report

logger = logging.getLogger(__name__)

VERDICTS_FILE = "verdicts.json"
_CAUSES_TOLD = 3


class Watcher(keras.callbacks.Callback):
    """Looks at the whole history of the run after each epoch, with the rules of `diagnosis.patterns`.

    A verdict is a warning in the log when it is new or has become worse, what follows from another is told with that
    one, and remarks (info) stand in the file alone. A failure of its own never stops training.

    config: the `Config` of the stage. log_dir: folder of the run, where earlier epochs and `run.json` are.
    """

    def __init__(self, config, log_dir):
        super().__init__()
        self.config = config
        self.log_dir = log_dir
        self.told = {}  # {code: severity}
        self.report = Report(())

    def on_train_begin(self, logs=None):
        content = read_json(os.path.join(self.log_dir, VERDICTS_FILE))
        self.told = {found["code"]: found["severity"] for found in content.get("findings", ())}

    def on_epoch_end(self, epoch, logs=None):
        self._judge(epoch + 1)

    def training_failed(self, error):
        """Training was stopped by an error, which `run.json` has."""
        self._judge(None)

    def _judge(self, epoch):
        try:
            history = History.read(self.log_dir)
            self.report = verdicts_on(history, self.config, since=False)
        except ConfigError as error:  # the files could not be written: the disk is full
            logger.debug("no verdict: %s", error)
            return
        except Exception:  # whoever trains for days is not to be stopped by who watches
            logger.warning("The watcher failed after epoch %s; training goes on.", epoch, exc_info=True)
            return
        self._tell(epoch)
        self._write(epoch)

    def _tell(self, epoch):
        new = [finding for finding in self.report if finding.severity != INFO and self._is_new(finding)]
        self.told.update({finding.code: finding.severity for finding in self.report})
        causes = [finding for finding in new if not finding.follows_from]
        others = [finding.code for finding in new if finding.follows_from]
        for finding in causes:
            lines = [f"{finding.code}: {finding.message}"]
            if finding.causes:
                causes_told = (f"{number}. {text}" for number, text in enumerate(finding.causes[:_CAUSES_TOLD], 1))
                lines.append(f"  likely causes: {'; '.join(causes_told)}")
            lines += [f"  to decide: {finding.experiment}"] if finding.experiment else []
            lines += [f"  to do: {finding.fix}"] if finding.fix else []
            lines += [f"  with it: {', '.join(others)}"] if others and finding is causes[0] else []
            logger.warning(
                "%s %s\n  (all of it: mrcnn-plus diagnose %s; to silence: LINT_IGNORE = %r)",
                f"Epoch {epoch}." if epoch else "Training stopped.",
                *("\n".join(lines), self.log_dir, (finding.code,)),
            )

    def _is_new(self, finding):
        before = self.told.get(finding.code)
        return before is None or SEVERITIES.index(finding.severity) < SEVERITIES.index(before)

    def _write(self, epoch):
        content = {"epoch": epoch, **json.loads(self.report.to_json())}
        path = os.path.join(self.log_dir, VERDICTS_FILE)
        try:
            with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1, ensure_ascii=False)
        except OSError as error:
            logger.error("%s could not be written: %s", path, error)


def make_watcher(config, log_dir):
    """The `Watcher` of a stage; None with WATCH_TRAINING = False."""
    return Watcher(config, log_dir) if config.WATCH_TRAINING else None
