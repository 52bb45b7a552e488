"""With TRANSCRIBE_ALLOW_REMOTE_LLM unset, no text leaves this machine and its private network."""

import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pytest_httpserver import HTTPServer

from tests.language_models.conftest import PROMPT, Bench, Points
from tests.servers.scripted_model import Scripted
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.language_models.egress import http_client
from transcribe_pipeline.resources.language_models import LanguageModels
from transcribe_pipeline.settings import Settings

Resolver = Callable[[dict[str, list[str]]], None]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """Host name -> addresses, instead of the network's answer. What is an address already stays one."""
    real = socket.getaddrinfo

    def install(names: dict[str, list[str]]) -> None:
        def answer(host: str, port: Any, *rest: Any, **options: Any) -> list[Any]:
            addresses = names.get(host, [host])
            return [found for each in addresses for found in real(each, port, *rest, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", answer)

    return install


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every address that a socket of this process is connected to, except the loopback's."""
    seen: list[object] = []
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if not str(address[0]).startswith(("127.", "::1")):
            seen.append(address)
            raise ConnectionRefusedError
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    return seen


@pytest.mark.parametrize("chosen", ["anthropic/claude-x", "openai/gpt-x", "openrouter/a/b"])
def test_remote_providers_are_refused_before_a_socket_is_opened(
    chosen: str, connected: list[object], resolve: Resolver
) -> None:
    public = ["api.anthropic.com", "api.openai.com", "openrouter.ai"]
    resolve({host: ["8.8.8.8"] for host in public})
    keys = {f"llm_{name}_key": "sk-hunter2" for name in ("anthropic", "openai", "openrouter")}
    calls: list[object] = []
    chosen_models = LanguageModels(Settings(_env_file=None, llm=chosen, llm_context_tokens=9000, **keys))  # type: ignore[arg-type]
    [model] = chosen_models.for_task("summary", calls.append)
    with pytest.raises(PipelineError) as caught:
        model.ask(PROMPT, Points)
    assert caught.value.code is ErrorCode.LANGUAGE_MODEL_REFUSED
    assert "TRANSCRIBE_ALLOW_REMOTE_LLM" in caught.value.detail
    assert connected == []
    assert len(calls) == 1


@pytest.mark.parametrize(
    "addresses",
    [
        ["8.8.8.8"],
        ["127.0.0.1", "8.8.8.8"],
        ["::ffff:8.8.8.8"],
        ["2001:4860:4860::8888"],
        ["2001:0:4136:e378::1"],  # Teredo
        ["64:ff9b::808:808"],  # NAT64
        ["172.32.0.1"],
        ["100.64.0.1"],
    ],
)
def test_a_host_with_any_public_address_is_refused(
    addresses: list[str], connected: list[object], resolve: Resolver
) -> None:
    resolve({"models.example": addresses})
    with pytest.raises(PipelineError, match="outside of the private network"):
        http_client(allow_remote=False).post("http://models.example:1/v1", timeout=1.0)
    assert connected == []


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.0.9", "172.31.255.255", "169.254.1.1", "fd00::1"])
def test_private_addresses_are_connected_to(address: str, connected: list[Any], resolve: Resolver) -> None:
    resolve({"models.lan": [address]})
    with pytest.raises(httpx2.ConnectError):
        http_client(allow_remote=False).get("http://models.lan:8000/", timeout=1.0)
    assert [to[:2] for to in connected] == [(address, 8000)]


def test_the_address_that_was_looked_at_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch, connected: list[object]
) -> None:
    """A name server that answers otherwise the second time gains nothing."""
    answers = iter(["10.9.9.9", "8.8.8.8", "8.8.8.8"])
    real = socket.getaddrinfo

    def answer(host: str, *rest: Any, **options: Any) -> list[Any]:
        return real(next(answers) if host == "models.lan" else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with pytest.raises(httpx2.ConnectError):
        http_client(allow_remote=False).get("http://models.lan:8000/", timeout=1.0)
    assert connected == [("10.9.9.9", 8000)]


def test_the_server_is_told_the_name_it_was_asked_by(bench: Bench, resolve: Resolver) -> None:
    resolve({"models.lan": ["127.0.0.1"]})
    bench.server.pages["/v1/models"] = Scripted({})
    port = bench.server.url.rpartition(":")[2]
    http_client(allow_remote=False).get(f"http://models.lan:{port}/v1/models", timeout=5.0)
    assert bench.server.headers[0]["Host"] == f"models.lan:{port}"


def test_a_certificate_is_checked_by_the_name_although_the_connection_goes_to_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resolve: Resolver
) -> None:
    certificate = _certificate("models.lan", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # trusted, as a company's own would be
    resolve({"models.lan": ["127.0.0.1"], "other.lan": ["127.0.0.1"]})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HTTPServer("127.0.0.1", ssl_context=context) as server:
        server.expect_request("/").respond_with_data("there")
        client = http_client(allow_remote=False)
        assert client.get(f"https://models.lan:{server.port}/", timeout=5.0).text == "there"
        with pytest.raises(httpx2.ConnectError, match="certificate"):
            client.get(f"https://other.lan:{server.port}/", timeout=5.0)


def _certificate(host: str, folder: Path) -> Path:
    """Signed by itself; with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    now = datetime.now(UTC)
    signed = (
        builder.not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "certificate.pem"
    file.write_bytes(private + signed.public_bytes(pem))
    return file


def test_a_redirect_is_not_followed(bench: Bench) -> None:
    bench.server.pages["/v1/models"] = Scripted(status=307, headers={"Location": f"{bench.server.url}/elsewhere"})
    assert http_client(allow_remote=False).get(f"{bench.server.url}/v1/models", timeout=5.0).status_code == 307
    assert bench.server.visits == ["/v1/models"]


@pytest.mark.parametrize("allow_remote", [False, True])
def test_no_proxy_of_the_environment_sees_private_text(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, resolve: Resolver, allow_remote: bool
) -> None:
    resolve({"models.lan": ["127.0.0.1"]})
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, bench.server.url)
    with pytest.raises(httpx2.ConnectError):
        http_client(allow_remote=allow_remote).post("http://models.lan:9/v1", timeout=1.0)
    assert bench.server.visits == []


def test_where_remote_is_allowed_the_environment_s_proxy_is_used(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, resolve: Resolver
) -> None:
    resolve({"models.example": ["8.8.8.8"]})
    monkeypatch.setenv("http_proxy", bench.server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    http_client(allow_remote=True).get("http://models.example/v1/models", timeout=5.0)
    assert len(bench.server.visits) == 1


def test_an_unknown_name_may_be_known_later(resolve: Resolver) -> None:
    resolve({"models.lan": []})
    with pytest.raises(PipelineError) as caught:
        http_client(allow_remote=False).get("http://models.lan/", timeout=1.0)
    assert caught.value.code is ErrorCode.LANGUAGE_MODEL_UNAVAILABLE


def test_nothing_but_what_the_interface_needs_is_told(bench: Bench) -> None:
    headers = {"X-Stainless-OS": "Linux", "OpenAI-Organization": "org-1", "Cookie": "a=b", "Authorization": "Bearer k"}
    http_client(allow_remote=False).get(bench.server.url, headers=headers, timeout=5.0)
    sent = {name.lower() for name in bench.server.headers[0]}
    assert sent <= {"host", "accept", "accept-encoding", "connection", "user-agent", "authorization"}
    assert "authorization" in sent


def test_an_answer_has_bounds(bench: Bench) -> None:
    bench.server.pages["/big"] = Scripted("x" * 8_000_001)
    with pytest.raises(PipelineError) as caught:
        http_client(allow_remote=False).get(f"{bench.server.url}/big", timeout=10.0)
    assert caught.value.code is ErrorCode.LANGUAGE_MODEL_BAD_ANSWER
    bench.server.pages["/bomb"] = Scripted("x", headers={"Content-Encoding": "gzip"})
    with pytest.raises(PipelineError, match="compressed"):
        http_client(allow_remote=False).get(f"{bench.server.url}/bomb", timeout=10.0)
