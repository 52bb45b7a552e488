"""What lies beside a recording is found and read, whatever form it has; what cannot be read is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.evaluation.references import Reference, TimedWord, Turn, Utterance, find_references

ROOT = Path(__file__).parents[2]
STM = """;; a comment
call 1 ann 3.5 4.0 <o,f0,female> How are you?
call 1 bob 0.5 1.0 Hello.
other 1 eve 0.0 9.0 Not here.
"""
RTTM = """SPKR-INFO call 1 <NA> <NA> <NA> unknown ann <NA>
SPEAKER call 1 0.50 0.50 <NA> <NA> bob <NA> <NA>
SPEAKER call 1 3.50 0.50 <NA> <NA> ann <NA> <NA>
SPEAKER other 1 0.00 9.00 <NA> <NA> eve <NA> <NA>
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "call.wav").write_bytes(b"")
    return tmp_path


def only(folder: Path, manifest: Path | None = None) -> Reference:
    (reference,) = find_references(folder, manifest)
    return reference


def refusal(folder: Path, manifest: Path | None = None) -> str:
    with pytest.raises(PipelineError) as caught:
        find_references(folder, manifest)
    assert caught.value.code is ErrorCode.BAD_GOLDEN_SET
    return caught.value.detail


def test_text_beside_a_recording(folder):
    (folder / "call.txt").write_text("\ufeffHello.\n", "utf-8")
    assert only(folder).text == "Hello."
    (folder / "call.ref.txt").write_text("Hello there.")
    assert only(folder).text == "Hello there."


def test_recordings_in_folders_and_without_references(folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "talk.MP3").write_bytes(b"")
    (folder / "deep" / "talk.txt").write_text("Yes.")
    assert [reference.name for reference in find_references(folder)] == ["deep/talk.MP3"]


def test_one_rttm_stm_and_uem_for_many_recordings(folder):
    (folder / "all.stm").write_text(STM)
    (folder / "all.rttm").write_text(RTTM)
    (folder / "all.uem").write_text("call 1 0.0 10.0\nother 1 0.0 20.0\n")
    reference = only(folder)
    assert reference.utterances == (Utterance("bob", "Hello.", 0.5, 1.0), Utterance("ann", "How are you?", 3.5, 4.0))
    assert reference.turns == (Turn(0.5, 1.0, "bob"), Turn(3.5, 4.0, "ann"))
    assert reference.scored == ((0.0, 10.0),)
    assert (reference.speakers, reference.group, reference.text) == (2, "several speakers", None)


def test_an_rttm_of_the_recordings_name_may_call_it_otherwise(folder):
    (folder / "call.rttm").write_text("SPEAKER EN2001a 1 0.0 2.0 <NA> <NA> ann <NA> <NA>\n")
    assert only(folder).turns == (Turn(0.0, 2.0, "ann"),)


def test_one_speakers_stm_is_its_text(folder):
    (folder / "call.stm").write_text("call 1 ann 2.0 3.0 you?\ncall 1 ann 0.0 1.0 How are\n")
    assert only(folder).text == "How are you?"


def picovoice(recording: str, *words: dict[str, Any], **test: Any) -> dict[str, Any]:
    other = {"language": "de", "audio_file": "other.wav", "words": []}
    return {"tests": {"kind": [other, {"language": "en", "audio_file": recording, "words": list(words), **test}]}}


HOW, ARE = {"word": "how", "start": 0.2}, {"text": "are", "start": 0.5, "end": 0.7}
FORMS = {
    "words": {"language": "en", "words": [HOW, ARE]},
    "segments": {"language": "en", "segments": [{"words": [HOW]}, {"words": [ARE]}]},
    "soundswallower": {
        "t": "how are",
        "w": [{"t": "<sil>", "b": 0}, {"t": "how", "b": 0.2, "d": 0.1}, {"t": "are(2)", "b": 0.5, "d": 1}],
    },
    "picovoice": picovoice(
        "call.wav",
        {"word": "how", "start_sec": 0.2, "speaker_tag": 1},
        {"word": "are", "start_sec": 0.5, "speaker_tag": 1},
        transcript="how are",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_words_in_json(folder, form):
    (folder / "call.json").write_text(json.dumps(FORMS[form]))
    reference = only(folder)
    assert reference.words == (TimedWord("how", 0.2), TimedWord("are", 0.5))
    assert reference.text == "how are"
    assert reference.language == (None if form == "soundswallower" else "en")


def test_speakers_in_picovoices_json(folder):
    words = [{"word": word, "speaker_tag": tag} for word, tag in [("hello", 1), ("yes", 2), ("there", 1)]]
    (folder / "call.json").write_text(json.dumps(picovoice("call.wav", *words)))
    reference = only(folder)
    assert reference.utterances == (Utterance("1", "hello there"), Utterance("2", "yes"))
    assert reference.text == "hello yes there"


def test_a_manifest_lists_what_counts_and_says_the_rest(folder):
    for name in ("noise.mp3", "jingle.mp3", "left-out.wav"):
        (folder / name).write_bytes(b"")
        (folder / name).with_suffix(".txt").write_text("words that are not there")
    (folder / "final.text").write_text("Moin.")
    (folder / "evaluation.yaml").write_text("""
version: 1
recordings:
  "*.mp3": {speech: []}
  jingle.mp3: {speech: [[1.5, 2]], language: no, group: jingles}
  call.wav: {language: de, text: final.text}
""")
    call, jingle, noise = find_references(folder)
    assert (call.language, call.text, call.group) == ("de", "Moin.", "one speaker, other languages")
    assert (noise.speech, noise.text, noise.group) == ((), None, "nobody speaks")
    assert (jingle.speech, jingle.language, jingle.group) == (((1.5, 2.0),), "no", "jingles")


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ("version: 1\nrecordings: {call.wav: {langauge: en}, '../x.wav': {}}", "langauge"),
        ("version: 1\nrecordings: {call.wav: {langauge: en}, '../x.wav': {}}", "inside the folder"),
        ("version: 1\nrecordings: {call.wav: {text: /etc/passwd}}", "inside the folder"),
        ("version: 2\nrecordings: {}", "version"),
        ("version: 1\nrecordings: {missing.wav: {}}", "'missing.wav', which is not in the folder"),
        ("version: 1\nrecordings: {call.wav: {text: missing.txt}}", "'missing.txt': there is no such file"),
        ("version: [", "line 1"),
        ("a: &a [*a]", "aliases"),
        ("version: 1\nrecordings: {call.wav: {}}", "none with a reference"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_named(folder, tmp_path, manifest, problem):
    path = tmp_path / "own.yaml"
    path.write_text(manifest)
    assert problem in refusal(folder, path)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("call.stm", b"call 1 ann 1.0 2.0\n", "fewer than 6 columns"),
        ("call.rttm", b"SPEAKER call 1 soon 0.50 <NA> <NA> bob <NA> <NA>", "could not convert"),
        ("call.json", b"[]", "not one of the forms"),
        ("call.json", b'{"words": [{"start": 1}]}', "not one of the forms"),
        ("call.txt", b"\xff\xfe", "not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_reference_is_named(folder, name, content, problem):
    (folder / name).write_bytes(content)
    assert problem in refusal(folder)
    assert name in refusal(folder)


def test_the_test_recordings(testdata):
    found = {each.name: each for each in find_references(testdata, ROOT / "benchmarks" / "testdata.yaml")}
    languages = {each.language for name, each in found.items() if name.startswith("lang_leopard/test_")}
    assert languages == {"de", "es", "fr", "it", "ja", "ko", "pt"}
    assert {each.group for each in found.values()} == {
        "meetings (AMI)",
        "nobody speaks",
        "one speaker, English",
        "one speaker, other languages",
        "several speakers",
    }
    assert found["multi_ami/trn05.flac"].scored == ((0.0, 30.0),)
    assert found["multi_ami/trn05.flac"].speakers == 4
    assert found["syn_multi_7spk_text/syn_multi_7spk_text.flac"].speakers == 7
    assert found["en_librivox_sense/sense_and_sensibility_01_austen_64kb-0880.wav"].words[0] == TimedWord("he", 0.21)
    assert len(found) == 37
