"""A smart git server over HTTP for the tests: Python's HTTP server in front of `git http-backend`.

Arguments: folder of repositories, log file, certificate and key (or nothing). Prints its port.
/private/… requires user:hunter2. /moved/… redirects to the same path below /. /elsewhere/asking/PORT/… redirects to another
server after it received a login, /elsewhere/silent/PORT/… at once. /broken/… answers 500. The log gets one line per request:
the path and the login.
"""
import base64, http.server, os, ssl, subprocess, sys

ROOT, LOG = sys.argv[1], sys.argv[2]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def serve(self):
        login = self.headers.get("Authorization", "")
        if login.startswith("Basic "):
            login = base64.b64decode(login[6:]).decode()
        with open(LOG, "a") as log:
            log.write(f"{self.path} {login}\n")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path
        if path.startswith("/moved/"):
            return self.answer(301, [("Location", path[len("/moved"):])])
        if path.startswith("/away/"):
            return self.answer(301, [("Location", "file://" + ROOT + path[len("/away"):])])
        if path.startswith("/elsewhere/"):
            if not login and path.startswith("/elsewhere/asking/"):
                return self.answer(401, [("WWW-Authenticate", 'Basic realm="git"')])
            port, rest = path.split("/", 4)[3:]
            return self.answer(302, [("Location", f"http://127.0.0.1:{port}/{rest}")])
        if path.startswith("/broken/"):
            return self.answer(500)
        if path.startswith("/private/"):
            if login != "user:hunter2":
                return self.answer(401, [("WWW-Authenticate", 'Basic realm="git"')])
            path = path[len("/private"):]
        path, _, query = path.partition("?")
        done = subprocess.run(
            ["git", "http-backend"], input=body, capture_output=True,
            env={
                "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": ROOT, "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
                "QUERY_STRING": query, "REQUEST_METHOD": self.command, "GIT_CONFIG_NOSYSTEM": "1",
                "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
                "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
            },
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if ": " in line]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        self.answer(status, [pair for pair in headers if pair[0] != "Status"], body)

    do_GET = do_POST = serve


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
