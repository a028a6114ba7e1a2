"""A foreign app that obeys ``orders.json`` beside it: ``{"say": [lines], "exit": 1}`` or serves until it is ended."""

from __future__ import annotations

import argparse
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"served_by": "app", "environment": dict(os.environ)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=7860)
    given = parser.parse_args()
    path = Path("orders.json")
    orders = json.loads(path.read_text()) if path.exists() else {}
    for line in orders.get("say", []):
        print(line, file=sys.stderr, flush=True)
    if "exit" in orders:
        sys.exit(orders["exit"])
    ThreadingHTTPServer((given.host, given.port), Page).serve_forever(poll_interval=0.05)
