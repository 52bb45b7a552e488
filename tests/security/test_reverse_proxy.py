"""The shipped reverse proxy, before Dagster's real web servers: who gets in, who may change something, from where."""

import json
from http.client import HTTPConnection
from urllib.parse import urlencode

import pytest

from tests.security.dagster_site import Site
from tests.servers.reverse_proxy import DAGSTER, PAGES, Answer

LAUNCH = """mutation { launchRun(executionParams: {runConfigData: {}, mode: "default", selector: {
    repositoryName: "__repository__", repositoryLocationName: "transcribe_pipeline", jobName: "process_media"}})
    { __typename } }"""
JSON = {"Content-Type": "application/json"}


def graphql(site: Site, query: str, *, user: str | None, headers: dict[str, str] | None = None) -> Answer:
    return site.proxy.ask(
        "POST", "/graphql", user=user, headers=JSON | (headers or {}), body=json.dumps({"query": query})
    )


def launched(answer: Answer) -> str:
    """What GraphQL says became of a launch."""
    assert answer.status == 200, answer
    result: str = json.loads(answer.body)["data"]["launchRun"]["__typename"]
    return result


@pytest.mark.parametrize("path", ["/", "/graphql", "/logs/x/out", "/server_info", "/download_debug/x"])
def test_nobody_gets_in_without_a_login(site, path):
    answer = site.proxy.ask("POST" if path == "/graphql" else "GET", path, headers=JSON)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Basic realm="transcripts"')
    assert site.proxy.ask("GET", "/", user="stranger").status == 401


def test_pages_want_a_login_too(site):
    for path in ("/", site.pages["ann"]):
        assert site.proxy.ask("GET", path, host=PAGES).status == 401


def test_an_admin_launches_and_a_viewer_does_not(site):
    before = site.runs()
    assert launched(graphql(site, LAUNCH, user="ada")) == "LaunchRunSuccess"
    assert site.runs() == before + 1
    assert launched(graphql(site, LAUNCH, user="vic")) == "UnauthorizedError"
    assert launched(graphql(site, LAUNCH, user="ADA")) == "UnauthorizedError"  # another one than 'ada'
    assert site.runs() == before + 1


def test_a_viewer_sees_the_pipeline(site):
    answer = graphql(site, "{ assetsOrError { ... on AssetConnection { nodes { id } } } }", user="vic")
    assert answer.status == 200
    assert site.proxy.ask("GET", "/", user="vic").status == 200


def test_a_mutation_in_an_address_is_refused(site):
    """Such a GET needs no CORS preflight: any page the admin has open could send it (fact 10)."""
    before = site.runs()
    address = "/graphql?" + urlencode({"query": LAUNCH})
    for path in (address, "/" + address, "/x/.." + address, address.replace("graphql", "%67raphql")):
        for headers in ({}, {"Upgrade": "websocket", "Connection": "Upgrade"}):
            assert site.proxy.ask("GET", path, user="ada", headers=headers).status == 403, path
        assert site.proxy.ask("HEAD", path, user="ada").status == 403
    # Without a type, or with one that needs no preflight, Dagster takes the query from the address of a POST.
    assert site.proxy.ask("POST", address, user="ada").status == 403
    assert site.proxy.ask("POST", address, user="ada", headers={"Content-Type": "text/plain"}).status == 403
    disguised = {"Content-Type": "text/plain; application/json"}
    assert site.proxy.ask("POST", address, user="ada", headers=disguised, body="{}").status == 403
    assert site.runs() == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://{DAGSTER}.evil.example"},
        {"Origin": f"https://{PAGES}"},
        {"Origin": f"http://{DAGSTER}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_other_sites_change_nothing(site, headers):
    before = site.runs()
    assert graphql(site, LAUNCH, user="ada", headers=headers).status == 403
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"} | headers
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "graphql-ws"}
    assert site.proxy.ask("GET", "/graphql", user="ada", headers=upgrade | key).status == 403
    assert site.runs() == before


def test_the_ui_itself_may(site):
    own = {"Origin": site.proxy.address(), "Sec-Fetch-Site": "same-origin"}
    assert launched(graphql(site, LAUNCH, user="ada", headers=own)) == "LaunchRunSuccess"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost", f"{DAGSTER}.evil.example"])
def test_other_host_names_get_no_answer(site, host):
    """DNS rebinding: a stranger's name that points here."""
    assert site.proxy.ask("GET", "/", user="ada", host=host).status == 0
    assert site.proxy.ask("GET", "/", user="ada", host=host, sni=DAGSTER).status == 0
    assert site.proxy.ask_plainly("/", host=host).status == 0


def test_without_tls_there_is_only_the_way_to_it(site):
    answer = site.proxy.ask_plainly("/runs")
    assert (answer.status, answer.headers["location"]) == (301, f"https://{DAGSTER}/runs")


@pytest.mark.parametrize("path", ["/report_asset_materialization/upload", "/notebook?path=/x.ipynb", "/dagit/notebook"])
def test_what_the_ui_does_not_need_is_closed(site, path):
    for method in ("GET", "POST"):
        assert site.proxy.ask(method, path, user="ada", headers=JSON, body="{}").status == 403


def test_only_graphql_takes_anything_but_reading(site):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert site.proxy.ask(method, "/runs", user="ada").status in (403, 405)
        assert site.proxy.ask(method, site.pages["ann"], user="ada", host=PAGES).status in (403, 405)


def test_everyone_reads_the_pages_of_their_own_folder_only(site):
    def read(path: str, user: str) -> int:
        return site.proxy.ask("GET", path, user=user, host=PAGES).status

    ann, vic = site.pages["ann"], site.pages["vic"]
    assert (read(ann, "ann"), read(vic, "vic")) == (200, 200)
    assert (read(vic, "ann"), read(ann, "vic"), read("/", "ann")) == (403, 403, 403)
    assert (read(ann, "ada"), read(vic, "ada"), read("/", "ada")) == (200, 200, 200)
    assert read(ann, "ADA") == 403
    recording = "/uploads/vic/talk.wav"
    assert (read(recording, "vic"), read(recording, "ann")) == (200, 403)
    for up in ("..", "%2e%2e", "..%2f..", "%252e%252e"):
        assert read(f"/results/ann/{up}/vic/{vic.removeprefix('/results/vic/')}", "ann") in (403, 404), up
    assert read("/results/vic/../ann" + ann.removeprefix("/results/ann"), "ann") == 404


def test_a_recording_is_read_in_parts(site):
    answer = site.proxy.ask("GET", "/uploads/vic/talk.wav", user="vic", host=PAGES, headers={"Range": "bytes=1-2"})
    assert (answer.status, answer.body) == (206, b"IF")


def test_answers_carry_what_browsers_need_to_know(site):
    for answer in (
        site.proxy.ask("GET", "/", user="ada"),
        site.proxy.ask("GET", site.pages["ann"], user="ada", host=PAGES),
        site.proxy.ask("GET", "/"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert "frame-ancestors 'none'" in site.proxy.ask("GET", "/", user="ada").headers["content-security-policy"]


def test_large_requests_are_refused(site):
    body = json.dumps({"query": "{ version }", "padding": "x" * 1_100_000})
    assert site.proxy.ask("POST", "/graphql", user="ada", headers=JSON, body=body).status == 413


def test_passwords_and_claims_of_clients_end_at_the_proxy(site):
    site.heard.clear()
    claims = {"X-Forwarded-For": "10.9.8.7", "X-Forwarded-Proto": "gopher"}
    assert site.proxy.ask("GET", site.pages["ann"], user="ann", host=PAGES, headers=claims).status == 200
    heard = "\n".join(site.heard).lower()
    assert "x-forwarded-for: 127.0.0.1" in heard
    assert not [word for word in ("authorization", "basic ", "10.9.8.7", "gopher") if word in heard]


def test_without_the_proxy_dagster_does_what_any_page_says(site):
    """Why all of this is needed. When this fails, Dagster has become safer."""
    before = site.runs()
    connection = HTTPConnection("127.0.0.1", site.unprotected, timeout=30)
    address = "/graphql?" + urlencode({"query": LAUNCH})
    connection.request("GET", address, headers={"Host": "evil.example", "Origin": "http://evil.example"})
    assert connection.getresponse().status == 200
    connection.close()
    assert site.runs() == before + 1
