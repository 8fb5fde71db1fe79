"""Tasks that tell what an engine answers that was made before celery forked."""

from __future__ import annotations

import os
from pathlib import Path

from broker import celery
from serves import answers

app = celery(Path(os.environ["LEASEHOLD_DESK"], "celery"))
ask = app.task(answers, name="ask")
