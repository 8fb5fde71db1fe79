"""Celery with a broker that is a folder, by which processes reach each other without a server."""

from __future__ import annotations

from pathlib import Path

from celery import Celery


def celery(folder: Path) -> Celery:
    for name in ("queue", "results", "control"):
        folder.joinpath(name).mkdir(parents=True, exist_ok=True)
    made = Celery("tasks", broker="filesystem://", backend=f"file://{folder / 'results'}")
    made.conf.broker_transport_options = {
        "data_folder_in": str(folder / "queue"),
        "data_folder_out": str(folder / "queue"),
        "control_folder": str(folder / "control"),
        "polling_interval": 0.02,
    }
    return made
