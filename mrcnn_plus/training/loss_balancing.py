"""The total of the five losses: with fixed weights, or with weights that are learnt (`LOSS_BALANCING`).

'uncertainty' (Kendall et al., arXiv 1705.07115, section 3): every loss L has a learnt s, the logarithm of the variance
of its task, and counts as exp(-s) L + s / 2. Where s has settled, exp(-s) = 1 / (2 L): a loss that stays high is taken
for noisy and counts less, none can drown the others. The paper halves the first term of regressions, which shifts their
s by log 2 and leaves that weight as it is; without it every s starts at 0 and the total at that of fixed weights.
"""

import math

import keras
from keras import ops

from mrcnn_plus.constants import LOSS_NAMES

BALANCINGS = ("fixed", "uncertainty")
LOG_VARIANCES = "loss_log_variances"
#: What to follow in the place of a total whose weights are learnt.
PLAIN = {"loss": "plain_loss", "val_loss": "val_plain_loss"}
# Learnt weights stay between 1/100 and 100: the s of a loss that is long 0, as without objects, would fall for ever.
LARGEST = math.log(100.0)


@keras.saving.register_keras_serializable("mrcnn_plus")
class WithinLimits(keras.constraints.Constraint):
    """Keeps every s within `LARGEST` of 0."""

    def __call__(self, values):
        return ops.clip(values, -LARGEST, LARGEST)


def weighted_total(parts, loss_weights, log_variances=None):
    """The sum of the losses, a dict by name, times their weights; a name that `loss_weights` lacks counts 1.

    log_variances: `[5]` in the order of `LOSS_NAMES` for learnt weights, which multiply the others, or None. A loss of
    weight 0 has no part in the total, and nothing is learnt for it.
    """
    if log_variances is None:
        return sum(loss_weights.get(name, 1.0) * value for name, value in parts.items())
    log_variances = ops.convert_to_tensor(log_variances)
    total = 0.0
    for row, name in enumerate(LOSS_NAMES):
        weight = loss_weights.get(name, 1.0)
        if weight:
            total = total + weight * ops.exp(-log_variances[row]) * parts[name] + 0.5 * log_variances[row]
    return total


class BalanceLog(keras.callbacks.Callback):
    """Logs the learnt weights after every epoch, as `<loss>_weight`, and the plain sum of the five losses, of training
    and validation, as `plain_loss` and `val_plain_loss`. Comes before the callbacks that write logs."""

    def on_epoch_end(self, epoch, logs=None):
        if logs is None:
            return
        values = ops.convert_to_numpy(self.model.log_variances).astype(float).tolist()
        logs.update({f"{name}_weight": math.exp(-value) for name, value in zip(LOSS_NAMES, values, strict=True)})
        for total, plain in PLAIN.items():
            if total in logs:
                prefix = total.removesuffix("loss")
                logs[plain] = sum(float(logs.get(prefix + name, 0.0)) for name in LOSS_NAMES)
