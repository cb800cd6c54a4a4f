"""Runs on the login node: a folder by HTTP, with what real servers do beside sending files.

``/moved/NAME`` redirects to a file that has another name, every file is sent with a name of its own
(Content-Disposition), and ``/private/`` wants a user and a password. Prints its port.
"""

import base64
import sys
import urllib.parse
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

LOGIN = "Basic " + base64.b64encode(b"me:secret").decode()


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", "/" + urllib.parse.quote("sp ace ü%20.txt") + "?moved")
            self.end_headers()
        elif self.path.startswith("/private/") and self.headers.get("Authorization") != LOGIN:
            self.send_error(401)
        else:
            super().do_GET()

    do_HEAD = do_GET  # noqa: N815 (http.server's name)

    def end_headers(self) -> None:
        self.send_header("Content-Disposition", 'attachment; filename="../other name"')
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


with ThreadingHTTPServer(("", 0), partial(Handler, directory=sys.argv[1])) as server:
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
