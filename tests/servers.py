"""Web servers on this machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Quiet:
    """For handlers that print nothing when they answer a request."""

    def log_message(self, format: str, *args: object) -> None:
        pass


class CountingServer(ThreadingHTTPServer):
    """Answers no request, and counts them all."""

    daemon_threads = True
    requests = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), BaseHTTPRequestHandler)

    def verify_request(self, request: object, client_address: object) -> bool:
        self.requests += 1
        return False


@contextmanager
def serve(server: ThreadingHTTPServer) -> Iterator[str]:
    """Run a server until the end of the block; yields its URL."""
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
