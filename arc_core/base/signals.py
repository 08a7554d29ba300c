"""The signals that ask a process to save what it has and end."""

from __future__ import annotations

import signal

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
"""Slurm and others announce the end of a job's time by one of the last two, as the job's script chooses."""
