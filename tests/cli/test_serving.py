"""The server of transcript pages, asked over HTTP as browsers and attackers ask."""

import http.client
import signal
import socket
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from tests.ledger.conftest import create_database
from tests.ledger.samples import take, transcript
from tests.servers.transcripts import transcript_server
from transcribe_pipeline.cli import serving
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export.insight_files import INSIGHT_FILES, insight_keys
from transcribe_pipeline.export.page import page_key
from transcribe_pipeline.ledger import files, leases, transcripts
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.partitions import partition_key
from transcribe_pipeline.resources.object_store import ObjectStore, open_store
from transcribe_pipeline.settings import Settings, load_settings

CONTENT = bytes(range(256)) * 40_000  # 10 MB: more than is sent at a time


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Site:
    configured: Settings
    ledger: Engine
    store: ObjectStore
    url: str = ""
    keys: list[str] = field(default_factory=list)

    def ask(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        """The path goes out as it is: clients that tidy '..' away prove nothing."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def upload(self, name: str, content: bytes = CONTENT, *, with_page: bool = True) -> str:
        """Partition key of a transcribed upload of ann's."""
        key = f"uploads/ann/{name}"
        self.store.put_bytes(key, content)
        for listed in self.store.list_uploads("uploads"):
            files.register(self.ledger, listed.uploads, settle_seconds=0)
        partition = partition_key(key)
        claim = take(self.ledger, key=partition)
        transcripts.save(self.ledger, claim, transcript(), artifact_key="x", provenance={})
        leases.complete(self.ledger, claim)
        if with_page:
            self.store.put_bytes(page_key("results", "ann", partition), f"page of {name}".encode())
        return partition


@pytest.fixture(scope="module", params=["embedded", "production"])
def site(request, tmp_path_factory) -> Iterator[Site]:
    """SQLite and a folder; PostgreSQL and S3."""
    home = tmp_path_factory.mktemp("serving")
    store_url, database = "", f"sqlite:///{home / 'ledger.db'}"
    with pytest.MonkeyPatch.context() as environment:
        if request.param == "production":
            import boto3

            s3_endpoint = request.getfixturevalue("s3_endpoint")
            database = create_database(request.getfixturevalue("postgres_url"), "serving")
            boto3.client(
                "s3",
                region_name="us-east-1",
                endpoint_url=s3_endpoint,
                aws_access_key_id="test",
                aws_secret_access_key="test",
            ).create_bucket(Bucket="serving")
            for name, value in {"ENDPOINT_URL": s3_endpoint, "REGION": "us-east-1"}.items():
                environment.setenv(f"AWS_{name}", value)
            environment.setenv("AWS_ACCESS_KEY_ID", "test")
            environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
            store_url = "s3://serving/base"
        yield from _site(home, store_url, database)


def _site(home, store_url: str, database: str) -> Iterator[Site]:
    configured = Settings(_env_file=None, home=home, store_url=store_url, database_url=SecretStr(database))
    ledger = connect(database)
    migrate(ledger)
    made = Site(configured, ledger, open_store(configured.resolved_store_url))
    made.keys = [made.upload("call one.mp3"), made.upload("evil.html", b"<script>alert(1)</script>")]
    with transcript_server(serving.application(configured, ledger, made.store)) as made.url:
        yield made
    ledger.dispose()


RECORDING = "/uploads/ann/call%20one.mp3"


def test_the_newest_transcripts_are_listed_with_links_that_work(site: Site):
    answer = site.ask("/")
    assert answer.status == 200
    assert b"call one.mp3" in answer.body
    page = f"/results/ann/{site.keys[0]}/transcript.html"
    assert page.encode() in answer.body
    assert site.ask(page).body == b"page of call one.mp3"


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-299", 100, 300),
        ("bytes=5000000-", 5_000_000, len(CONTENT)),
        ("bytes=-1000", len(CONTENT) - 1000, len(CONTENT)),
        ("bytes=0-", 0, len(CONTENT)),
        ("bytes=10-99999999999", 10, len(CONTENT)),
        (f"bytes=-{len(CONTENT) + 1}", 0, len(CONTENT)),
    ],
)
def test_a_range_is_answered_with_exactly_its_bytes(site: Site, wanted, start, end):
    answer = site.ask(RECORDING, Range=wanted)
    assert answer.status == 206
    assert answer.body == CONTENT[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"
    assert answer.headers["content-length"] == str(end - start)
    assert answer.headers["content-type"] == "audio/mpeg"


@pytest.mark.parametrize("wanted", [None, "bytes=1-2,5-6", "pages=1-2", "bytes=-", "bytes=a-b", "1-2"])
def test_what_is_no_single_range_of_bytes_gets_the_whole(site: Site, wanted):
    answer = site.ask(RECORDING, **({"Range": wanted} if wanted else {}))
    assert (answer.status, answer.headers["accept-ranges"]) == (200, "bytes")
    assert answer.body == CONTENT


@pytest.mark.parametrize("wanted", [f"bytes={len(CONTENT)}-", "bytes=-0", "bytes=9-3"])
def test_a_range_that_there_is_not(site: Site, wanted):
    answer = site.ask(RECORDING, Range=wanted)
    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


def test_a_part_of_what_has_been_replaced_is_not_mixed_with_what_is_there(site: Site):
    tag = site.ask(RECORDING, method="HEAD").headers["etag"]
    for condition, status in {tag: 206, '"another"': 200}.items():
        assert site.ask(RECORDING, **{"Range": "bytes=5-9", "If-Range": condition}).status == status


def test_a_head_request_tells_the_size_and_reads_nothing(site: Site, monkeypatch):
    monkeypatch.setattr(site.store, "get_range", lambda *_arguments: pytest.fail("the recording was read"))
    answer = site.ask(RECORDING, method="HEAD")
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, str(len(CONTENT)), b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(site: Site, method):
    assert site.ask(RECORDING, method=method).status == 405


def test_what_people_uploaded_never_becomes_a_document(site: Site):
    answer = site.ask("/uploads/ann/evil.html")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"
    for path in ("/uploads/ann/evil.html", RECORDING):
        headers = site.ask(path).headers
        assert headers["content-security-policy"] == "sandbox; default-src 'none'; frame-ancestors 'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_page_may_not_be_framed_or_guessed_at(site: Site):
    headers = site.ask(f"/results/ann/{site.keys[0]}/transcript.html").headers
    assert headers["content-type"].startswith("text/html")
    assert headers["content-security-policy"] == "frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


def test_exports_are_downloads(site: Site):
    path = f"/results/ann/{site.keys[0]}/transcript.srt"
    site.store.put_bytes(path[1:], b"1\n")
    answer = site.ask(path)
    assert (answer.status, answer.body) == (200, b"1\n")
    assert answer.headers["content-disposition"] == 'attachment; filename="transcript.srt"'


def test_files_of_insights_are_downloads_too(site: Site):
    """Whatever is in them: a graph is XML, which browsers would show, and run what it links to."""
    for name, key in insight_keys("results", "ann", site.keys[0]).items():
        site.store.put_bytes(key, b"<svg onload='alert(1)'/>")
        answer = site.ask(f"/{key}")
        assert answer.status == 200
        assert answer.headers["content-type"].partition(";")[0] == INSIGHT_FILES[name].media_type
        assert answer.headers["content-disposition"] == f'attachment; filename="{INSIGHT_FILES[name].file_name}"'
        assert "sandbox" in answer.headers["content-security-policy"]


def test_only_what_the_ledger_knows_is_served(site: Site):
    site.store.put_bytes("uploads/ann/unknown.mp3", b"x")
    site.store.put_bytes("artifacts/secret.json", b"x")
    site.store.put_bytes(f"results/ann/{site.keys[0]}/other.html", b"x")
    site.store.put_bytes(f"results/bob/{site.keys[0]}/transcript.html", b"x")
    for path in (
        "/uploads/ann/unknown.mp3",
        "/artifacts/secret.json",
        f"/results/ann/{site.keys[0]}/other.html",
        f"/results/bob/{site.keys[0]}/transcript.html",
        f"/uploads/{site.keys[0]}",
        f"/{site.keys[0]}",
        "/uploads/",
        "/results/",
        "/ledger.db",
    ):
        assert site.ask(path).status == 404, path


@pytest.mark.parametrize(
    "path",
    [
        "/uploads/ann/../../ledger.db",
        "/uploads/../../ledger.db",
        "/uploads/ann/..%2f..%2f..%2fledger.db",
        "/results/ann/%2e%2e/%2e%2e/ledger.db",
        "/results/../uploads/ann/call%20one.mp3",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/uploads/ann/call%20one.mp3%00.html",
        "/uploads/ann/call%20one.mp3/",
        "/uploads/ann/%ff%fe",
        "/uploads/%00",
        "/results/ann/%00/transcript.html",
        "/results/ann/%ed%a0%80/transcript.html",
        "/uploads/ann/call one.mp3\\..\\..",
    ],
)
def test_no_path_leads_elsewhere(site: Site, path):
    assert site.ask(quote(path, safe="/%\\")).status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:3001", "127.0.0.1.evil.example", "localhost.evil", ""])
def test_another_name_for_this_machine_is_refused(site: Site, host):
    for path in ("/", RECORDING, "/-/identity"):
        assert site.ask(path, Host=host).status == 400


@pytest.mark.parametrize("after", ["nobody", "%00", "%27%20OR%201=1--", ""])
def test_a_list_after_nothing_known_is_a_list(site: Site, after):
    assert site.ask(f"/?after={after}").status == 200


def test_a_file_without_a_page_says_so(site: Site):
    answer = site.ask(f"/results/ann/{site.upload('old.mp3', b'o', with_page=False)}/transcript.html")
    assert (answer.status, answer.body) == (404, b"This recording has no transcript page yet.")


def test_a_recording_that_is_gone_is_not_found(site: Site):
    site.upload("gone.mp3", b"x")
    site.store.delete("uploads/ann/gone.mp3")
    assert site.ask("/uploads/ann/gone.mp3").status == 404


def test_more_transcripts_than_fit_are_on_the_next_list(site: Site, monkeypatch):
    monkeypatch.setattr(serving, "_FILES_LISTED", 1)
    first = site.ask("/").body.decode()
    assert first.count("/transcript.html") == 1
    older = first.split('<p class="older"><a href="')[1].split('"')[0]
    second = site.ask(older).body.decode()
    assert second.count("/transcript.html") == 1
    assert first.split("/results/")[1] != second.split("/results/")[1]


# --- open -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """What the browser was sent to."""
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", addresses.append)
    return addresses


@pytest.fixture
def configured(site: Site, monkeypatch) -> Settings:
    monkeypatch.setattr(serving, "load_settings", lambda: site.configured)
    return site.configured


def test_open_uses_the_server_that_runs(site: Site, configured, opened, capsys):
    port = urlsplit(site.url).port
    assert port
    serving.open_page("call one.mp3", owner=None, port=port)
    assert opened == [f"{site.url}/results/ann/{site.keys[0]}/transcript.html"]
    assert capsys.readouterr().out.strip() == opened[0]


def test_open_serves_by_itself_where_something_else_has_the_port(site: Site, configured, opened, monkeypatch):
    """Somebody else's server, or another installation's, is not asked for this one's pages."""
    served: list[bytes] = []

    def run(application, listening) -> None:
        with transcript_server(application) as url:
            path = urlsplit(opened[0]).path
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
            connection.request("GET", path)
            served.append(connection.getresponse().read())
            connection.close()
        listening.close()

    monkeypatch.setattr(serving, "_run", run)
    with transcript_server(_not_ours) as other:
        port = urlsplit(other).port
        assert port
        serving.open_page("call one.mp3", owner=None, port=port)
    assert urlsplit(opened[0]).port != port
    assert served == [b"page of call one.mp3"]


async def _not_ours(scope, receive, send) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"transcribe"})


def test_a_server_of_another_kind_is_none_of_ours(configured):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            connection, _ = listening.accept()
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            connection.close()

        greeter = threading.Thread(target=greet, daemon=True)
        greeter.start()
        assert not serving._answers_for(configured, f"http://127.0.0.1:{listening.getsockname()[1]}")
        greeter.join(timeout=10)


def test_open_says_what_is_missing(site: Site, configured, opened):
    site.upload("new.mp3", b"y", with_page=False)
    for name, code in {"new.mp3": ErrorCode.ARTIFACT_MISSING, "nothing.mp3": ErrorCode.FILE_UNKNOWN}.items():
        with pytest.raises(PipelineError) as error:
            serving.open_page(name, owner=None, port=1)
        assert error.value.code is code
    assert opened == []


def test_serving_says_where_and_ends_quietly_when_interrupted(ledger: Engine):
    program = "from transcribe_pipeline.cli import serving; serving.serve(port=0)"
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        address = server.stderr.readline().split()[1]
        assert serving._answers_for(load_settings(), address)
        server.send_signal(signal.SIGINT)
        assert (server.wait(timeout=20), server.stderr.read()) == (0, "")
