"""TLS with peers that are not ours: the command openssl as client and server, curl, and Python's http.client.

They also probe the server as testssl.sh does: what it must not speak.
"""

import contextlib
import hashlib
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import sys

import pytest

from ropewalk.internet.epollreactor import EPollReactor
from ropewalk.internet.ssl import FILETYPE_PEM, Certificate
from ropewalk.testing.certificates import Authority
from ropewalk.testing.peers import IPV4, Client
from ropewalk.testing.rig import Rig
from ropewalk.testing.tls_peers import Secured, client_options

from .conftest import PATIENCE, environment

SIZE = 20_000_003   # bytes of the large file
SERVER = """
import sys
from ropewalk.internet import reactor
from ropewalk.internet.protocol import Protocol, ServerFactory
from ropewalk.internet.ssl import Certificate, CertificateOptions, PrivateCertificate, trustRootFromCertificates

folder, asks = sys.argv[1], sys.argv[2:] == ["asks"]


class Serves(Protocol):
    # Answers GET with a file, else echoes.
    request = b""

    def dataReceived(self, data):
        self.request += data
        if not self.request.startswith(b"GET"):
            self.transport.write(data)
        elif self.request.endswith(b"\\r\\n\\r\\n"):
            self.answer(self.request.split(b" ")[1])

    def answer(self, path):
        self.file = open(folder + path.decode(), "rb")
        size = self.file.seek(0, 2)
        self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n" % size)
        self.transport.sendfile(self.file)
        self.transport.loseConnection()

    def connectionLost(self, reason):
        print("lost", type(reason.value).__name__, reason.value, flush=True)
        if self.request.startswith(b"GET"):
            self.file.close()


with open(folder + "/server.pem", "rb") as file:
    shown = PrivateCertificate.loadPEM(file.read())
with open(folder + "/ca.pem", "rb") as file:
    authority = Certificate.loadPEM(file.read())
options = shown.options(authority) if asks else shown.options()
port = reactor.listenSSL(0, ServerFactory.forProtocol(Serves), options, interface="127.0.0.1")
print(port.getHost().port, flush=True)
reactor.run()
"""


def need(command):
    if shutil.which(command) is None:
        pytest.skip(f"the command {command} is not installed")
    return command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of the authority, the server, a client, and a large one."""
    path = tmp_path_factory.mktemp("tls")
    authority = Authority()
    (path / "ca.pem").write_bytes(authority.pem)
    (path / "server.pem").write_bytes(authority.issue("localhost", IPV4).dumpPEM())
    (path / "client.pem").write_bytes(authority.issue("me").dumpPEM())
    (path / "large").write_bytes(os.urandom(SIZE))
    (path / "server.py").write_text(SERVER)
    return path


class Server:
    """Our server in a child process. port: where it listens."""

    def __init__(self, folder, *arguments):
        command = [sys.executable, "-W", "error", str(folder / "server.py"), str(folder), *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )
        self.port = int(self.process.stdout.readline())

    def lost(self):
        """What the next protocol that lost its connection was told."""
        return self.process.stdout.readline()

    def end(self):
        """End it; it must have had no trouble."""
        self.process.terminate()
        _, errors = self.process.communicate(timeout=PATIENCE)
        assert errors == ""


@pytest.fixture
def server(folder):
    with serving(folder) as made:
        yield made


@contextlib.contextmanager
def serving(folder, *arguments):
    made = Server(folder, *arguments)
    try:
        yield made
        made.end()
    finally:
        made.process.kill()
        made.process.communicate()


def s_client(folder, server, *arguments):
    """The command line of openssl as a client that verifies."""
    return [
        need("openssl"), "s_client", "-connect", f"{IPV4}:{server.port}", "-CAfile", str(folder / "ca.pem"),
        "-servername", "localhost", "-verify_hostname", "localhost", "-verify_return_error", *arguments,
    ]  # fmt: skip


@contextlib.contextmanager
def talking(command):
    """A process that is written to and read from by lines."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def say(process, line):
    process.stdin.write(line)
    process.stdin.flush()


def read_until(process, line):
    """The lines up to `line`; they must not end before it."""
    lines = []
    while not lines or lines[-1] != line:
        lines.append(process.stdout.readline())
        assert lines[-1], b"".join(lines)
    return lines


def probe(folder, server, *arguments):
    """What openssl prints and returns as a client that says nothing."""
    ended = subprocess.run(
        s_client(folder, server, *arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
    )
    return ended.returncode, ended.stdout + ended.stderr


def answers(folder, server):
    """Assert that the server works."""
    with talking(s_client(folder, server, "-quiet")) as client:
        say(client, b"still there?\n")
        read_until(client, b"still there?\n")


# -- openssl as the client


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_gets_an_echo_and_an_orderly_end(folder, server, version):
    with talking(s_client(folder, server, version, "-quiet", "-no_ign_eof")) as client:
        for number in range(50):
            line = b"%d " % number * 1000 + b"\n"
            say(client, line)
            read_until(client, line)
        client.stdin.close()
        client.wait(PATIENCE)
    assert server.lost().startswith("lost ConnectionDone")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_what_is_agreed_on_is_safe(folder, server, version):
    code, output = probe(folder, server, version)
    assert code == 0, output
    assert "Verify return code: 0 (ok)" in output
    assert "Compression: NONE" in output
    assert "Verified peername: localhost" in output or "Verification: OK" in output
    if version == "-tls1_2":
        assert "Secure Renegotiation IS supported" in output


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_nothing_older_than_tls_1_2_is_spoken(folder, server, version):
    code, output = probe(folder, server, version, "-cipher", "ALL:@SECLEVEL=0")
    assert code != 0
    assert "protocol version" in output or "unsupported protocol" in output or "no protocols" in output, output
    assert "TLSError" in server.lost()
    answers(folder, server)


@pytest.mark.parametrize(
    "ciphers", ["aNULL", "eNULL", "3DES", "RC4", "DES", "EXPORT", "MD5", "PSK", "SRP", "kRSA", "SHA1", "SEED", "IDEA"]
)
def test_no_weak_cipher_is_spoken(folder, server, ciphers):
    code, output = probe(folder, server, "-tls1_2", "-cipher", f"{ciphers}:@SECLEVEL=0")
    assert code != 0, output


def test_a_client_that_wants_to_negotiate_again_is_refused_and_does_no_harm(folder, server):
    with talking(s_client(folder, server, "-tls1_2")) as client:
        say(client, b"before\n")
        read_until(client, b"before\n")
        say(client, b"R\n")
        output = client.stdout.read()   # openssl gives up
        assert b"no renegotiation" in output, output
    assert server.lost().startswith("lost TLSError TLS failed: the peer says:")
    answers(folder, server)


def test_keys_are_changed_as_often_as_the_client_asks(folder, server):
    with talking(s_client(folder, server, "-tls1_3")) as client:
        for number in range(20):
            say(client, b"K\n")   # and we are to change ours
            read_until(client, b"KEYUPDATE\n")
            say(client, b"line %d\n" % number)
            read_until(client, b"line %d\n" % number)


def test_a_session_is_resumed(folder, server):
    code, output = probe(folder, server, "-tls1_2", "-reconnect")
    assert code == 0, output
    assert output.count("Reused, TLSv1.2") >= 5, output


def test_a_name_that_is_not_the_servers_is_seen_by_openssl(folder, server):
    code, output = probe(folder, server, "-verify_hostname", "example.org")
    assert code != 0
    assert "hostname mismatch" in output.lower(), output
    assert "the peer does not accept our certificate" in server.lost()


def test_a_client_certificate_is_asked_for_and_required(folder):
    with serving(folder, "asks") as server:
        with talking(s_client(folder, server, "-quiet", "-cert", str(folder / "client.pem"))) as client:
            say(client, b"it is me\n")
            read_until(client, b"it is me\n")
        server.lost()
        _, output = probe(folder, server)
        assert "showed no certificate" in server.lost(), output


# -- browsers


def test_http_client_gets_a_large_file(folder, server):
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    for host in ("localhost", IPV4):
        connection = http.client.HTTPSConnection(host, server.port, timeout=PATIENCE, context=context)
        connection.request("GET", "/large")
        content = connection.getresponse().read()
        connection.close()
        assert digest(content) == digest((folder / "large").read_bytes())


def test_a_python_socket_may_end_its_half_and_hears_our_end(folder, server):
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    with socket.create_connection((IPV4, server.port), PATIENCE) as plain:
        wrapped = context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)
        wrapped.sendall(b"x")
        assert wrapped.recv(10) == b"x"
        with wrapped.unwrap():
            assert server.lost().startswith("lost ConnectionDone")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl_gets_a_large_file(folder, server, version, tmp_path):
    url = f"https://localhost:{server.port}/large"
    command = [
        need("curl"), "-sS", "--cacert", str(folder / "ca.pem"), "--resolve", f"localhost:{server.port}:{IPV4}",
        f"--tlsv{version}", "--tls-max", version, "--noproxy", "*", "-o", str(tmp_path / "got"), url,
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert digest((tmp_path / "got").read_bytes()) == digest((folder / "large").read_bytes())
    assert server.lost().startswith("lost ConnectionDone")


def test_curl_refuses_the_server_under_another_name(folder, server):
    command = [
        need("curl"), "-sS", "--cacert", str(folder / "ca.pem"), "--resolve", f"example.org:{server.port}:{IPV4}",
        "--noproxy", "*", f"https://example.org:{server.port}/large",
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 60, ended.stderr
    server.lost()
    answers(folder, server)


def digest(data):
    return hashlib.sha256(data).hexdigest()


# -- openssl as the server


@contextlib.contextmanager
def s_server(folder, *arguments):
    """openssl as a server, and the port that it listens on."""
    command = [
        need("openssl"), "s_server", "-accept", f"{IPV4}:0", "-cert", str(folder / "server.pem"),
        "-key", str(folder / "server.pem"), *arguments,
    ]  # fmt: skip
    with talking(command) as process:
        line = b""
        while not line.startswith(b"ACCEPT"):
            line = process.stdout.readline()
            assert line, "openssl does not listen"
        yield process, int(line.rpartition(b":")[2])


def trusting(folder):
    """Our client's context factory."""
    authority = Certificate.load((folder / "ca.pem").read_bytes(), FILETYPE_PEM)
    return client_options("localhost", trustRoot=authority)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_our_client_gets_a_page_from_openssl(folder, version):
    async def scenario(rig, port):
        factory = Client(Secured)
        rig.reactor.connectSSL(IPV4, port, factory, trusting(folder))
        client = await factory.connects()
        client.transport.write(b"GET / HTTP/1.0\r\n\r\n")
        await client.ends()
        assert client.received.startswith(b"HTTP/1.0 200 ok"), client.received[:100]
        assert version[4:].replace("_", ".").encode() in client.received
        assert b"</HTML>" in client.received.upper()

    with s_server(folder, "-www", version) as (_, port), Rig(EPollReactor) as rig:
        rig.play(lambda: scenario(rig, port))


def plain(folder):
    """A context that negotiates again, if it is let."""
    return ssl.create_default_context(cafile=str(folder / "ca.pem"))


@pytest.mark.parametrize("context", [trusting, plain])
def test_a_server_that_wants_to_negotiate_again_is_refused_and_does_no_harm_to_our_client(folder, context):
    async def scenario(rig, process, port):
        factory = Client(Secured)
        rig.reactor.connectSSL(IPV4, port, factory, context(folder))
        client = await factory.connects()
        await client.happens("secured")
        say(process, b"before\n")
        await client.gets(b"before\n")
        say(process, b"r\n")   # HelloRequest
        say(process, b"after\n")
        await client.until(lambda: client.received == b"before\nafter\n" or client.reason is not None)
        client.transport.write(b"x" * 100_000)
        client.transport.loseConnection()
        await client.ends()
        assert any(b"no renegotiation" in line for line in process.stdout)

    with s_server(folder, "-tls1_2") as (process, port), Rig(EPollReactor) as rig:
        rig.play(lambda: scenario(rig, process, port))
