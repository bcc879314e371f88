"""Herdmark's door: ``launch.py [COMMAND ...]``; without a command it serves the demo."""

from __future__ import annotations

from app.cli import main

if __name__ == "__main__":
    main()
