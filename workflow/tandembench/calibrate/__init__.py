"""calibrate: the instrument's own error, measured against a fake server that logs every send."""
