"""calibrate: the instrument's own error, measured against a fake server that logs every send."""

from tandembench.calibrate.errors import Errors, Spread
from tandembench.calibrate.session import Calibration, Figures, calibrate
from tandembench.calibrate.text import as_json, as_table

__all__ = ["Calibration", "Errors", "Figures", "Spread", "as_json", "as_table", "calibrate"]
