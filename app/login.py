"""The page that asks for the server's token."""

from __future__ import annotations

LOGIN_PATH = "/enter"  # /login belongs to Gradio


def login_page(problem: str = "") -> str:
    """HTML of the page; `problem` is our own sentence on the last attempt, never user input."""
    note = f'<p role="alert">{problem}</p>' if problem else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Herdmark</title>'
        '<meta name="viewport" content="width=device-width"><style>'
        "body{font:16px system-ui,sans-serif;display:grid;place-items:center;min-height:90vh;"
        "background:#f3f5f4;color:#1d2522}form{background:#fff;padding:2rem;border-radius:8px;"
        "border:1px solid #d5dcd8;display:grid;gap:.8rem;min-width:18rem}h1{font-size:1.2rem;"
        "margin:0}input,button{font:inherit;padding:.5rem;border-radius:5px;border:1px solid #9aa}"
        "button{background:#1f6f54;color:#fff;border:0}p{color:#8f2d1b;margin:0}</style>"
        f'<form method="post" action="{LOGIN_PATH[1:]}"><h1>Herdmark</h1>{note}'
        '<label for="token">Token of this server</label>'
        '<input id="token" name="token" type="password" autocomplete="current-password" autofocus>'
        "<button>Open the project</button></form></html>"
    )
