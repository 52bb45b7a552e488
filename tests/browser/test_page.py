"""The transcript page as people use it: in Chromium, with a real recording behind a real server."""

import json
import os
import re
import subprocess
import time
import wave
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open, Site
from tests.browser.conversations import Said, conversation, read_stm, ten_hours
from tests.export.insights import BY_MODEL, insights_of
from transcribe_pipeline.artifacts import Doubt, Translation
from transcribe_pipeline.cli.demonstration import sample_recording
from transcribe_pipeline.export.page import Entry, MediaSource, render, render_index
from transcribe_pipeline.export.script import Script


def word(page: Page, text: str) -> Locator:
    return page.locator(".w", has_text=re.compile(f"^{re.escape(text)}$")).first


def seconds(page: Page) -> float:
    return float(page.evaluate("document.getElementById('media').currentTime"))


def until(condition: Callable[[], object]) -> None:
    """Playwright's own waiting for a condition evaluates text, which the page's policy forbids."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def lit(page: Page) -> str:
    return page.locator(".w.lit").inner_text()


# --- hearing --------------------------------------------------------------------------------------------------------


def test_a_click_on_a_word_moves_the_player_there_and_lights_it_up(page: Page) -> None:
    word(page, "Jersey.").click()
    # 'This is Diane in New Jersey.' is said from 12.542 to 14.184.
    assert 13.6 < seconds(page) < 14.2
    assert lit(page) == "Jersey."
    assert page.locator(".turn.now .name").inner_text() == "Diane"


def test_the_recording_is_sought_by_range_requests(open_page: Open, call: str) -> None:
    page = open_page("about:blank")
    answers = []
    page.on("response", lambda answer: answers.append(answer) if "/uploads/" in answer.url else None)
    page.goto(f"{call}#t=25")
    until(lambda: page.evaluate("document.getElementById('media').readyState >= 3"))
    assert {answer.status for answer in answers} == {206}
    assert page.evaluate("document.getElementById('media').seekable.end(0)") == pytest.approx(30, abs=0.1)
    assert seconds(page) == 25


def test_while_it_plays_the_word_that_is_said_is_lit(page: Page) -> None:
    word(page, "Sheila").click()
    page.keyboard.press("Space")
    until(lambda: seconds(page) > 16.3)
    seen = page.evaluate(
        """() => new Promise(done => {
            const media = document.getElementById('media'), seen = [];
            const look = () => {
                const word = document.querySelector('.w.lit');
                if (word) seen.push([media.currentTime, word.textContent]);
                seen.length < 40 ? requestAnimationFrame(look) : done(seen);
            };
            requestAnimationFrame(look);
        })"""
    )
    page.keyboard.press("Space")
    assert page.evaluate("document.getElementById('media').paused")
    transcript, _ = conversation([Said("Sheila", 14.444, 17.769, "And I'm Sheila in Texas, originally from Chicago.")])
    for moment, text in seen:
        (said,) = [each for each in transcript.words if each.text == text]
        assert said.start - 0.05 <= moment <= said.end + 0.1


def test_the_page_follows_until_the_reader_scrolls_and_again_when_asked(open_page: Open, site: Site) -> None:
    said = [Said("AB"[n % 2], n * 0.5, n * 0.5 + 0.45, "Short words, many times") for n in range(60)]
    page = open_page(f"{site.add(sample_recording(), *conversation(said), file_name='follow.wav')}#t=5")
    page.locator("#play").click()
    until(lambda: page.evaluate("scrollY") > 200)
    page.mouse.move(700, 400)

    def is_at_top_after_scrolling() -> bool:
        page.mouse.wheel(0, -5_000)  # the first one may only end the scrolling that is under way
        return bool(page.evaluate("scrollY") == 0)

    until(is_at_top_after_scrolling)
    expect(page.locator("#follow")).to_be_visible()
    page.locator("#follow").click()
    until(lambda: page.evaluate("scrollY") > 200)
    expect(page.locator("#follow")).to_be_hidden()


def test_where_two_talk_at_once_every_word_can_be_reached(open_page: Open, site: Site) -> None:
    said = [
        Said("A", 1, 9, "one two three four five six"),
        Said("B", 3, 5, "yes exactly right"),
        Said("A", 9, 12, "end"),
    ]
    page = open_page(site.add(sample_recording(), *conversation(said), file_name="at once.wav"))
    for text in ("three", "exactly", "five", "yes", "six", "right", "end", "one"):
        word(page, text).click()
        assert lit(page) == text


def test_keys(page: Page) -> None:
    page.keyboard.press("l")
    assert seconds(page) == 10
    page.keyboard.press("ArrowRight")
    assert seconds(page) == 15
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("j")
    assert seconds(page) == 0
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert lit(page) == "I"  # 'I didn't know you were there.'
    page.keyboard.press("Shift+ArrowRight")
    assert lit(page) == "didn't"
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert lit(page) == "Oh,"
    page.keyboard.press(">")
    page.keyboard.press(">")
    assert page.evaluate("document.getElementById('media').playbackRate") == 1.5
    page.keyboard.press("<")
    assert page.evaluate("document.getElementById('media').playbackRate") == 1.25
    page.keyboard.press("k")
    assert not page.evaluate("document.getElementById('media').paused")
    page.keyboard.press("k")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_keys_do_nothing_while_somebody_types_or_has_turned_them_off(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("jkl ")
    assert page.locator("#query").input_value() == "jkl "
    assert seconds(page) == 0
    page.keyboard.press("Escape")
    page.locator("#help").click()
    page.get_by_label("Use these keys").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    assert seconds(page) == 0


def test_the_timeline_is_a_slider_whose_places_are_those_of_the_picture(page: Page) -> None:
    box = page.locator(".timeline").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + 5)
    total = page.evaluate("JSON.parse(document.getElementById('data').textContent).milliseconds") / 1000
    assert seconds(page) == pytest.approx(total / 2, abs=0.2)
    playhead = page.evaluate("document.getElementById('playhead').getBoundingClientRect().left")
    assert playhead == pytest.approx(box["x"] + box["width"] * 0.5, abs=3)
    page.locator("#seek").press("ArrowRight")
    assert seconds(page) == pytest.approx(total / 2 + 5, abs=0.2)


def test_an_address_names_a_moment(open_page: Open, call: str) -> None:
    page = open_page(f"{call}#t=13.9")
    expect(page.locator(".w.lit")).to_have_text("Jersey.")
    page.evaluate("location.hash = 't=7'")
    expect(page.locator(".w.lit")).to_have_text("Hello?")
    page.get_by_role("link", name="Where from").click()
    expect(page.locator("#now")).to_have_text("0:14")
    expect(page.locator(".chapters [aria-current]")).to_contain_text("Where from")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#link").click()
    expect(page.locator("#status")).to_have_text("Link to this moment copied.")
    assert page.url == f"{call}#t=14.4" == page.evaluate("navigator.clipboard.readText()")
    for hostile in ("t=-1", "t=1e9", "t=x", "t=99999999999999", "t=<b>"):
        page.evaluate("hash => location.hash = hash", hostile)
    assert seconds(page) == pytest.approx(14.4)


def test_a_video_is_shown_and_sought(open_page: Open, site: Site, testdata) -> None:
    transcript, names = conversation([Said("Reader", 6.0, 12.0, "From fairest creatures we desire increase")])
    clip = testdata / "video_srt" / "subsai_test1.webm"
    page = open_page(site.add(clip, transcript, names, is_video=True))
    until(lambda: page.evaluate("document.querySelector('video').videoWidth > 0"))
    word(page, "we").click()
    assert 8 < seconds(page) < 11


def test_a_recording_that_is_gone_is_said_and_the_text_stays(browser, site: Site, call: str) -> None:
    page = browser.new_context().new_page()
    page.route("**/uploads/**", lambda route: route.fulfill(status=404))
    page.goto(call)
    expect(page.locator("#status")).to_have_text("The recording cannot be played here.")
    expect(word(page, "Jersey.")).to_be_visible()
    page.context.close()


# --- finding --------------------------------------------------------------------------------------------------------


def test_search_counts_marks_and_goes_from_hit_to_hit(page: Page) -> None:
    page.locator("#query").fill("chicago")
    expect(page.locator("#found")).to_have_text("2 found")
    for found in ("1 of 2", "2 of 2", "1 of 2"):
        page.locator("#query").press("Enter")
        expect(page.locator("#found")).to_have_text(found)
        marked = page.evaluate("[...CSS.highlights.get('hit-now')].map(String)")
        assert [text.lower() for text in marked] == ["chicago"]
    page.locator("#previous").click()
    expect(page.locator("#found")).to_have_text("2 of 2")
    assert page.evaluate("CSS.highlights.get('hit').size") == 2
    page.locator("#query").fill("originally from")  # across words
    expect(page.locator("#found")).to_have_text("2 found")
    page.locator("#query").fill("zebra")
    expect(page.locator("#found")).to_have_text("not found")
    expect(page.locator("#next")).to_be_disabled()


def test_search_ignores_case_accents_and_points_and_marks_the_right_letters(open_page: Open, site: Site) -> None:
    said = [
        Said("A", 0, 3, "Die Straße zu Zoë İstanbul ﬁnal"),
        Said("A", 3, 6, "שָׁלוֹם עולם"),
        Said("A", 6, 9, "서울 café"),
    ]
    transcript, names = conversation(said)
    page = open_page(site.add(sample_recording(), transcript, names, file_name="letters.wav"))
    for query, marked in {
        "zoe": "Zoë",
        "istanbul": "İstanbul",
        "final": None,
        "שלום": "שָׁלוֹם",
        "CAFE": "café",
        "서울": "서울",
    }.items():
        page.locator("#query").fill(query)
        expected = [marked] if marked else []
        until(lambda: page.evaluate("[...CSS.highlights.get('hit')].map(String)") == expected)  # noqa: B023


def test_a_speaker_can_be_hidden_and_search_then_leaves_them_out(page: Page) -> None:
    page.get_by_label("Show Sheila").uncheck()
    # Not inner texts: those of turns that the browser has not drawn yet are empty.
    assert set(page.locator(".turn:visible .name").all_text_contents()) == {"Diane"}
    page.locator("#query").fill("chicago")
    expect(page.locator("#found")).to_have_text("1 found")
    page.get_by_label("Show Diane").uncheck()
    expect(page.get_by_text("All speakers are hidden.")).to_be_visible()
    page.get_by_label("Show Sheila").check()
    assert set(page.locator(".turn:visible .name").all_text_contents()) == {"Sheila"}


# --- names, copies and switches -------------------------------------------------------------------------------------


def test_a_speaker_is_renamed_everywhere_kept_and_handed_on_as_json(page: Page, call: str) -> None:
    data = json.loads(page.locator("#data").text_content() or "")
    page.get_by_role("button", name="Rename Diane").click()
    page.keyboard.type("  Ann   <b>Lee</b> ")
    page.keyboard.press("Enter")
    assert "Diane" not in page.locator(".name").all_inner_texts()
    assert page.locator(".turn[data-lane='0'] .name").first.inner_text() == "Ann <b>Lee</b>"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download names").click()
    assert json.loads(download.value.path().read_text()) == {
        "partition_key": data["partition_key"],
        "transcript_id": data["transcript_id"],
        "names": {"SPEAKER_00": "Ann <b>Lee</b>"},
    }
    page.reload()
    assert page.locator(".speakers .name").all_inner_texts() == ["Ann <b>Lee</b>", "Sheila"]
    page.get_by_role("button", name="Rename Ann <b>Lee</b>").click()
    page.keyboard.type("Nobody")
    page.keyboard.press("Escape")
    assert page.locator(".speakers .name").all_inner_texts() == ["Ann <b>Lee</b>", "Sheila"]


def test_a_paragraph_is_copied_with_time_and_name(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".turn", has_text="Neither did I").hover()
    page.locator(".turn", has_text="Neither did I").locator(".copy").click()
    expect(page.locator("#status")).to_contain_text("copied")
    assert page.evaluate("navigator.clipboard.readText()") == "[0:09] Sheila: Neither did I."


def test_the_unsure_is_shown(open_page: Open, site: Site) -> None:
    transcript, names = conversation([Said("A", 0, 3, "Thanks for watching")], probability=0.31)
    doubtful = transcript.segments[0].model_copy(update={"doubts": (Doubt.HALLUCINATION, Doubt.NO_SPEECH)})
    transcript = transcript.model_copy(update={"segments": (doubtful,)})
    page = open_page(site.add(sample_recording(), transcript, names, file_name="unsure.wav"))
    shown = page.evaluate("getComputedStyle(document.querySelector('.doubt'), '::after').content")
    assert shown == '"may be invented, nobody seems to speak"'
    plain = word(page, "for").evaluate("word => getComputedStyle(word).backgroundColor")
    page.get_by_role("button", name="Confidence").click()
    assert word(page, "for").evaluate("word => getComputedStyle(word).backgroundColor") != plain
    assert page.locator(".said").inner_text() == "Thanks for watching"


def test_an_english_translation_can_be_shown(open_page: Open, site: Site) -> None:
    transcript, names = conversation([Said("A", 0, 3, "Guten Tag"), Said("B", 3, 6, "Auf Wiedersehen")])
    english = (Translation(start=0, end=3, text="Good day"), Translation(start=3, end=6, text="Goodbye"))
    transcript = transcript.model_copy(update={"language": "de", "translation": english})
    page = open_page(site.add(sample_recording(), transcript, names, file_name="german.wav"))
    expect(page.get_by_text("Goodbye")).to_be_hidden()
    page.get_by_role("button", name="English").click()
    assert page.locator(".turn", has_text="Wiedersehen").locator(".english").inner_text() == "Goodbye"


def test_dark_follows_the_system_and_can_be_switched(open_page: Open, call: str) -> None:
    page = open_page(call, color_scheme="dark")

    def paper() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    dark = paper()
    page.get_by_role("button", name="Dark").click()
    light = paper()
    assert light == "rgb(255, 255, 255)" != dark
    page.reload()
    assert paper() == light
    page.get_by_role("button", name="Dark").click()
    assert paper() == dark


def test_right_to_left_speech_runs_right_to_left(open_page: Open, site: Site) -> None:
    transcript, names = conversation([Said("דנה", 0, 3, "שלום לכולם היום"), Said("Bob", 3, 6, "hello there")])
    transcript = transcript.model_copy(update={"language": "he"})
    page = open_page(site.add(sample_recording(), transcript, names, file_name="hebrew.wav"))
    boxes = [word(page, text).bounding_box() for text in ("שלום", "לכולם", "היום")]
    lefts = [box["x"] for box in boxes if box]
    assert lefts == sorted(lefts, reverse=True)
    first, second = (word(page, text).bounding_box() for text in ("hello", "there"))
    assert first
    assert second
    assert first["x"] < second["x"]
    assert page.locator("main").get_attribute("lang") == "he"


# --- what was said, in short ------------------------------------------------------------------------------------------


def open_parts(page: Page) -> None:
    closed = page.locator(".part:not([open]) > summary")
    while closed.count():
        closed.first.click()


def test_a_statement_leads_to_its_moment_by_mouse_and_by_keyboard(open_page: Open, told: str) -> None:
    page = open_page(told)
    transcript, _ = conversation(read_stm(sample_recording().with_suffix(".stm")))
    first = transcript.segments[0].start
    page.locator(".overview li", has_text="Key: ").get_by_role("link").click()
    assert seconds(page) == pytest.approx(first, abs=0.01)
    page.get_by_role("button", name="Forward").click()
    page.locator(".bottom-line").get_by_role("link").focus()
    page.keyboard.press("Enter")
    until(lambda: seconds(page) == pytest.approx(first, abs=0.01))
    assert lit(page) == page.locator(".turn .w").first.inner_text()


def test_a_renamed_speaker_is_renamed_in_what_was_said(open_page: Open, told: str) -> None:
    page = open_page(told)
    bottom_line = page.locator(".bottom-line")
    expect(bottom_line).to_contain_text("Bottom line: Diane talks to Sheila")
    page.get_by_role("button", name="Rename Diane").click()
    page.keyboard.type("Ann <b>Lee</b>")
    page.keyboard.press("Enter")
    expect(bottom_line).to_contain_text("Bottom line: Ann <b>Lee</b> talks to Sheila")
    assert "Diane" not in (page.locator(".overview").text_content() or "")
    assert "Diane" not in (page.locator(".chapters").text_content() or "")
    page.reload()
    expect(bottom_line).to_contain_text("Bottom line: Ann <b>Lee</b> talks to Sheila")


def test_hiding_a_speaker_hides_what_they_said_and_not_what_is_said_of_them(open_page: Open, told: str) -> None:
    page = open_page(told)
    page.get_by_role("checkbox", name="Show Diane").click()
    assert set(page.locator(".turn:visible .name").all_text_contents()) == {"Sheila"}
    expect(page.locator(".bottom-line")).to_contain_text("Diane talks")


def test_on_a_phone_the_bottom_line_comes_first_and_nothing_is_too_wide(open_page: Open, told: str) -> None:
    page = open_page(told, viewport={"width": 360, "height": 740}, has_touch=True)
    open_parts(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator(".bottom-line")).to_be_in_viewport()


def test_what_was_said_is_printed_and_read_without_javascript(open_page: Open, told: str, tmp_path: Path) -> None:
    page = open_page(told, java_script_enabled=False)
    expect(page.get_by_text("Key: Diane talks to Sheila")).to_be_visible()
    page.pdf(path=tmp_path / "page.pdf")
    command = ["pdftotext", "-layout", tmp_path / "page.pdf", "-"]
    printed = " ".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert "To do: Diane talks to Sheila" in printed
    assert "Open: Diane" not in printed  # its part is closed


# --- for everybody --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(open_page: Open, told: str, scheme: str) -> None:
    page = open_page(f"{told}#t=13.9", color_scheme=scheme, bypass_csp=True)  # axe is put in as an inline script
    open_parts(page)
    page.locator("#query").fill("chicago")
    page.locator("#shading").click()
    page.get_by_text("Pace and confidence").click()
    page.get_by_role("button", name="Rename Diane").click()
    assert _violations(page) == []
    page.keyboard.press("Escape")
    page.locator("#help").click()
    assert _violations(page) == []


def test_the_list_of_transcripts_is_for_everybody_too(open_page: Open, tmp_path: Path) -> None:
    added = datetime(2026, 5, 3, tzinfo=UTC)
    html, _ = render_index([Entry(name, "ann", added, "/x") for name in ("a.mp3", "ب.mp3")], older="/?after=x")
    path = tmp_path / "index.html"
    path.write_text(html, encoding="utf-8")
    page = open_page(path.as_uri(), viewport={"width": 360, "height": 740}, color_scheme="dark")
    assert _violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def _violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {[node['html'][:120] for node in v['nodes']]}" for v in found]


def test_on_a_phone_nothing_is_wider_than_the_screen(open_page: Open, call: str) -> None:
    page = open_page(call, viewport={"width": 360, "height": 740}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    expect(page.locator("#play")).to_be_in_viewport()
    expect(page.locator(".turn").first).to_be_in_viewport()


def test_without_javascript_the_text_can_be_read_and_the_recording_played(open_page: Open, call: str) -> None:
    page = open_page(call, java_script_enabled=False)
    expect(page.get_by_text("This is Diane in New Jersey.")).to_be_visible()
    expect(page.locator("audio[controls]")).to_be_visible()
    expect(page.locator("#play")).to_be_hidden()


def test_print_has_every_word_and_name_and_no_controls(page: Page, tmp_path) -> None:
    pdf = tmp_path / "page.pdf"
    page.pdf(path=pdf)
    text = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
    said = page.locator(".said").all_text_contents()
    printed = " ".join(text.split())
    assert all(" ".join(paragraph.split()[:4]) in printed for paragraph in said)
    assert printed.count("Sheila 0:") == page.locator(".turn[data-lane='1']").count()
    assert "Confidence" not in printed


def test_a_page_with_its_recording_inside_plays_from_a_folder(open_page: Open, tmp_path) -> None:
    recording = sample_recording()
    transcript, names = conversation([Said("Diane", 12.5, 14.2, "This is Diane in New Jersey.")])
    html = render(
        Script.of(transcript, file_name=recording.name, names=names),
        MediaSource.embedded(recording.read_bytes(), "audio/wav"),
        partition_key="x",
        transcript_id="y",
    )
    path = tmp_path / "portable.html"
    path.write_bytes(html)
    page = open_page(path.as_uri())
    until(lambda: page.evaluate("document.getElementById('media').readyState >= 3"))
    word(page, "Jersey.").click()
    until(lambda: page.evaluate("!document.getElementById('media').seeking"))
    assert 13.5 < seconds(page) < 14.2


# --- ten hours ------------------------------------------------------------------------------------------------------


def test_ten_hours_stay_smooth(open_page: Open, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transcript, names = ten_hours()
    page = open_page("about:blank")
    page.add_init_script(
        "window.longTasks = [];"
        "new PerformanceObserver(list => longTasks.push(...list.getEntries().map(entry => entry.duration)))"
        ".observe({type: 'longtask', buffered: true})"
    )
    page.goto(site.add(_ten_silent_hours(tmp_path), transcript, names))
    until(lambda: page.evaluate("document.querySelector('.w')"))
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    loading = page.evaluate("longTasks.splice(0)")

    jump = """async seconds => {
        const start = performance.now();
        location.hash = `t=${seconds}`;
        await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
        return performance.now() - start;
    }"""
    jumps = []
    for moment in (35_000, 12_345, 29_999, 3):
        jumps.append(page.evaluate(jump, moment))
        until(lambda: page.evaluate(f"{IN_VIEW}(document.querySelector('.w.lit'))"))

    page.locator("#query").fill("w77")
    until(lambda: page.evaluate("document.getElementById('found').textContent") == "1111 found")
    page.locator("#query").fill("w99999")
    page.keyboard.press("Enter")
    until(lambda: page.evaluate(f"{IN_VIEW}([...document.querySelectorAll('.w')].at(-1))"))
    assert page.evaluate("[...document.querySelectorAll('.w')].at(-1).textContent") == "w99999"

    size = page.evaluate("performance.getEntriesByType('navigation')[0].decodedBodySize")
    longest = max(page.evaluate("longTasks"), default=0)
    with capsys.disabled():
        print(
            f"\n100,000 words, 10 h: {size / 1e6:.1f} MB; first paint {paint:.0f} ms, tasks while loading"
            f" {sum(loading):.0f} ms; jumps {', '.join(f'{each:.0f}' for each in jumps)} ms;"
            f" longest task afterwards {longest:.0f} ms"
        )
    # Words in the document are those around the screen, wherever one has been.
    assert page.evaluate("document.querySelectorAll('.w').length") < 2_000
    assert page.evaluate("document.getElementsByTagName('*').length") < 15_000
    assert size < 3_000_000


IN_VIEW = "(item => item && item.getBoundingClientRect().top > 0 && item.getBoundingClientRect().bottom < innerHeight)"


def _ten_silent_hours(folder: Path) -> Path:
    """As few bytes a second as Chromium plays: 3,000 Hz, 8 bits; the samples are a hole in the file."""
    path = folder / "ten hours.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, 3_000, 0, "NONE", ""))
        file.writeframesraw(b"")
    samples = 36_000 * 3_000
    header = bytearray(path.read_bytes())
    header[4:8] = (samples + 36).to_bytes(4, "little")
    header[40:44] = samples.to_bytes(4, "little")
    path.write_bytes(header)
    os.truncate(path, len(header) + samples)
    return path


# --- hostile content ------------------------------------------------------------------------------------------------

PAYLOADS = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "-->",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)',
    "</title><script>alert(1)</script>",
    "</style><style>*{display:none}",
    "javascript:alert(1)",
    "{{7*7}}",
    "{% raw %}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "]]><script>alert(1)</script>",
    "\u2028alert(1)\u2029",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
    "<iframe src='http://127.0.0.1:9/'></iframe>",
    "<link rel=stylesheet href=//127.0.0.1:9/x.css>",
    "<base href=//127.0.0.1:9/>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<details open ontoggle=alert(1)>",
]


def test_nothing_that_people_write_can_run_load_or_vanish(open_page: Open, site: Site) -> None:
    said = [Said(payload, n * 2.0, n * 2.0 + 1.5, payload) for n, payload in enumerate(PAYLOADS)]
    transcript, names = conversation(said)
    address = site.add(
        sample_recording(),
        transcript,
        names,
        file_name='"><img src=x onerror=alert(1)>{{7*7}}%2e%2e#?.wav',
        title="</title><script>alert(1)</script>",
    )
    page = open_page("about:blank")
    requests: list[str] = []
    dialogs: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(address)
    until(lambda: page.evaluate("document.getElementById('media').readyState >= 3"))
    for query in ("<script>", "alert(1)"):
        page.locator("#query").fill(query)
        page.locator("#query").press("Enter")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Rename").nth(2).click()
    page.keyboard.type("<img src=x onerror=alert(1)>")
    page.keyboard.press("Enter")
    page.locator(".turn").last.scroll_into_view_if_needed()

    texts = [" ".join(payload.split()) for payload in PAYLOADS]
    assert page.locator(".said").all_text_contents() == texts
    shown = page.locator(".turn .name").all_text_contents()
    assert shown == [*texts[:2], "<img src=x onerror=alert(1)>", *texts[3:]]
    assert page.locator("h1").text_content() == "</title><script>alert(1)</script>" == page.title()
    assert '"><img src=x onerror=alert(1)>{{7*7}}%2e%2e#?.wav' in (page.locator(".facts").text_content() or "")
    assert dialogs == []
    assert {request.split("/")[3] for request in requests} == {"results", "uploads"}
    assert all(request.startswith(site.url) for request in requests)
    assert (
        page.evaluate("document.querySelectorAll('img, iframe, link[rel=stylesheet], base, script:not(#data)').length")
        == 1
    )


def test_nothing_in_an_insight_can_run_load_or_vanish(open_page: Open, site: Site) -> None:
    """Whoever speaks, and every model, may put anything into a summary."""
    transcript, names = conversation([Said("A", 0, 9, "hello there"), Said("B", 10, 20, "hello")])
    payload = " ".join(PAYLOADS)
    made_by = BY_MODEL.model_copy(update={"model": payload, "provider": payload})
    insights = insights_of(transcript, payload, made_by=made_by)
    address = site.add(sample_recording(), transcript, names, file_name="attack.wav", insights=insights)
    page = open_page("about:blank")
    requests: list[str] = []
    dialogs: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(address)
    open_parts(page)
    shown = " ".join(payload.split())
    assert page.locator(".bottom-line > span").first.text_content() == f"Bottom line: {shown}"
    assert page.locator(".chapters bdi").all_text_contents() == [f"{shown} (1)", f"{shown} (2)"]
    assert shown in (page.locator(".overview > .made").last.text_content() or "")
    assert page.locator(".part").count() == 11
    assert dialogs == []
    assert {request.split("/")[3] for request in requests} == {"results", "uploads"}
    hostile = ".overview :is(img, iframe, script, svg, style, link, base, form, input, noscript, math)"
    assert page.locator(hostile).count() == 0
    addresses = page.locator(".overview a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert len(addresses) == 15
    assert all(re.fullmatch(r"#t=[\d.]+", each) for each in addresses)


def test_the_policy_stops_what_would_get_through(browser, site: Site, call: str) -> None:
    page = browser.new_context().new_page()
    violated: list[str] = []
    page.on("console", lambda message: violated.append(message.text) if message.type == "error" else None)
    page.goto(call)
    page.evaluate(
        """() => {
            const script = document.createElement('script');
            try { script.textContent = 'window.ran = 1'; } catch { window.refused = 'script'; }
            try { document.body.innerHTML = '<img src=x>'; } catch { window.refused += ' markup'; }
            document.body.append(Object.assign(new Image(), {src: '/uploads/x'}));
        }"""
    )
    expect(page.locator("main")).to_be_visible()
    assert page.evaluate("[window.ran, window.refused]") == [None, "script markup"]
    assert any("img-src" in text for text in violated)
    page.context.close()
