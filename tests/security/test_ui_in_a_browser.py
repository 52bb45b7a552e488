"""Dagster's UI in a real browser, through the shipped proxy: it works, and what people uploaded is text in it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.conftest import CHROMIUM
from tests.security.dagster_site import HOSTILE_NAME, Site
from tests.security.test_reverse_proxy import LAUNCH
from transcribe_pipeline.sensors import tag_value

_FLAGS = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --no-first-run"
# Newer browsers ask before a strange page may reach this machine. The proxy's visitors are elsewhere.
_FLAGS += " --disable-features=LocalNetworkAccessChecks"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("Debian's chromium is not installed: deploy/scripts/apt-packages.sh test")
    with sync_playwright() as playwright:
        names = "--host-resolver-rules=MAP *.example.org 127.0.0.1,MAP evil.example 127.0.0.1"
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_FLAGS.split(), names])
        yield launched
        launched.close()


OpenAs = Callable[[str], Page]


@pytest.fixture
def open_as(chromium: Browser, site: Site) -> Iterator[OpenAs]:
    """A page of a browser of its own in which this user has logged in."""
    contexts: list[BrowserContext] = []

    def open_(user: str) -> Page:
        login = {"username": user, "password": user[::-1]}
        context = chromium.new_context(base_url=site.proxy.address(), ignore_https_errors=True, http_credentials=login)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        return page

    yield open_
    for context in contexts:
        context.close()


def test_the_ui_works_behind_the_proxy(site, open_as):
    page = open_as("ada")
    refused: list[str] = []
    subscriptions: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    page.on("console", lambda told: refused.append(told.text) if "Content Security Policy" in told.text else None)
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: subscriptions.append(str(frame))))
    page.goto("/jobs")
    expect(page.get_by_text("process_media").first).to_be_visible()
    page.goto(f"/runs/{launch(page)}")
    expect(page.get_by_text("Queued").first).to_be_visible()
    assert refused == []
    assert any("connection_ack" in frame for frame in subscriptions)


def test_a_viewer_has_no_way_to_launch(site, open_as):
    page = open_as("vic")
    page.goto("/jobs")
    expect(page.get_by_text("process_media").first).to_be_visible()
    answer = page.evaluate(POST, json.dumps({"query": LAUNCH}))
    assert json.loads(answer)["data"]["launchRun"]["__typename"] == "UnauthorizedError"


def test_a_strangers_page_cannot_use_the_login_of_an_admin(site, open_as):
    """The admin has the UI open and visits another site, which sends all that browsers let it send."""
    page = open_as("ada")
    page.goto("/jobs")
    before = site.runs()
    page.goto("about:blank")
    earlier = len(site.proxy.answered())
    page.route("**/evil.html", lambda route: route.fulfill(content_type="text/html", body="<title>evil</title>"))
    page.goto("https://evil.example/evil.html")
    page.evaluate(ATTACKS, {"address": f"{site.proxy.address()}/graphql", "query": LAUNCH})
    page.wait_for_function("window.ended.size === 4")
    with page.expect_navigation():
        page.evaluate("document.forms[0].submit()")
    answered = site.proxy.answered()[earlier:]
    assert len(answered) == 5
    assert all(line.startswith("403 ") for line in answered)
    assert any(line.endswith(" /graphql ada") for line in answered)  # the form is sent with the login
    assert site.runs() == before


def test_what_people_uploaded_is_text_in_the_ui(site, open_as):
    page = open_as("ada")
    ran: list[str] = []
    page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    page.route("https://evil.example/**", lambda route: (ran.append(route.request.url), route.abort()))
    with dg.DagsterInstance.from_config(str(site.home / "dagster")) as instance:
        shown = dg.AssetMaterialization(
            "health",
            description=HOSTILE_NAME,
            metadata={
                "text": HOSTILE_NAME,
                "report": dg.MetadataValue.md(f"{HOSTILE_NAME} ![](https://evil.example/x)"),
            },
        )
        instance.report_runless_asset_event(shown)
    launch(page, tags={"transcribe/file": tag_value(HOSTILE_NAME)})
    for path in ("/runs", "/assets/health?view=events"):
        page.goto(path)
        expect(page.get_by_text("onerror=").first).to_be_visible()
        assert page.locator("img[src='x'], [onerror], a[href^='javascript:']").count() == 0
        assert page.title() != "run"
    assert ran == []


POST = """async body => (await fetch("/graphql", {
    method: "POST", headers: {"Content-Type": "application/json"}, body})).text()"""


def launch(page: Page, tags: dict[str, str] | None = None) -> str:
    """Launch the pipeline as the UI does; gives the run's id."""
    page.goto("/jobs")
    pairs = [f"{{key: {json.dumps(key)}, value: {json.dumps(value)}}}" for key, value in (tags or {}).items()]
    query = LAUNCH.replace("runConfigData", f"executionMetadata: {{tags: [{', '.join(pairs)}]}}, runConfigData")
    query = query.replace("__typename", "... on LaunchRunSuccess { run { runId } }")
    answer = json.loads(page.evaluate(POST, json.dumps({"query": query})))
    run_id: str = answer["data"]["launchRun"]["run"]["runId"]
    return run_id


ATTACKS = """({address, query}) => {
    window.ended = new Set();
    const end = name => () => { window.ended.add(name); };
    const url = address + "?query=" + encodeURIComponent(query);
    const plain = {mode: "no-cors", credentials: "include"};
    fetch(url, plain).finally(end("get"));
    fetch(url, {...plain, method: "POST", headers: {"Content-Type": "text/plain"}, body: ""}).finally(end("post"));
    Object.assign(new Image(), {onload: end("image"), onerror: end("image")}).src = url;
    document.body.append(Object.assign(document.createElement("form"), {action: url, method: "post"}));
    Object.assign(new WebSocket(address.replace("https", "wss"), "graphql-ws"), {onerror: end("socket")});
}"""
