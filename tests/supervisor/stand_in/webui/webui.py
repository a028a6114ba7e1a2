"""The stand-in for the page: serves on the inherited socket."""

from __future__ import annotations

import json
import os
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from webui.behaviour import StandIn


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"served_by": "page", "pid": os.getpid(), "path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.do_GET()

    def log_message(self, *arguments: object) -> None:
        pass


def main() -> None:
    life = StandIn("page")
    life.load(["import", "build"])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page, bind_and_activate=False)
    server.socket.close()
    descriptor = life.settings["listen_fd"]
    if descriptor is None:
        server.socket = socket.create_server((life.settings["host"], life.settings["port"]))
    else:
        server.socket = socket.socket(fileno=descriptor)
    life.on_terminate(server.shutdown)
    life.say("ready", info={})
    server.serve_forever(poll_interval=0.05)
    life.say("stopping")
    os._exit(0)


if __name__ == "__main__":
    main()
