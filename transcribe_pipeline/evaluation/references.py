"""What people know about recordings: where a folder keeps it, and how its formats are read.

What belongs here: finding recordings and their references, and the readers of the formats. What does not: comparing
them with anything (`scoring.py`).

Beside a recording `X.wav` (any audio or video) count, by their names alone:

    X.ref.txt, X.txt   what is said
    X.stm              the same with speakers and times (NIST STM)
    X.rttm             who speaks when (NIST RTTM)
    X.uem              which parts are scored (NIST UEM); without one, all of it
    X.json             words with their start: {"language": "de", "words": [{"word": "also", "start": 0.31}, ...]},
                       also under "segments"; soundswallower's and Picovoice's own forms are read too

An STM, RTTM or UEM of the same folder with another name counts for every recording whose name (without extension) it
mentions. What names cannot tell stands in a manifest, `evaluation.yaml` in the folder or a file of your own; then only
the recordings that it lists count, and it overrides what lies beside them:

    version: 1
    recordings:
      calls/*.wav: {language: en}                                      # ISO 639-1
      radio.mp3: {language: de, text: texts/radio-final.txt}           # also: stm, rttm, uem, words
      noise/*.mp3: {speech: []}                                        # nobody speaks
      jingle.mp3: {speech: [[63.3, 73.8]]}                             # somebody speaks there, nobody elsewhere
      board/*.mp4: {group: meetings}                                   # to be pooled on their own
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.text import plain_yaml

MANIFEST_NAME = "evaluation.yaml"

_MEDIA_SUFFIXES = tuple(
    f".{suffix}"
    for suffix in (
        *("3gp", "aac", "aif", "aiff", "amr", "avi", "flac", "flv", "m4a", "m4v", "mka", "mkv", "mov", "mp3", "mp4"),
        *("mpeg", "mpg", "oga", "ogg", "opus", "ts", "wav", "webm", "wma", "wmv"),
    )
)
_MAX_REFERENCE_BYTES = 64 * 1024**2

Span = tuple[float, float]
"""(start, end) in seconds."""
T = TypeVar("T")


@dataclass(frozen=True)
class Utterance:
    speaker: str
    text: str
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class TimedWord:
    text: str
    start: float
    """Seconds."""


@dataclass(frozen=True)
class Turn:
    start: float
    end: float
    speaker: str


@dataclass(frozen=True)
class Reference:
    """What is known about one recording. None or empty: not known, but for `speech`, where empty means that nobody
    speaks."""

    recording: Path
    name: str
    """Path in the folder, with '/'."""
    language: str | None = None
    text: str | None = None
    utterances: tuple[Utterance, ...] = ()
    turns: tuple[Turn, ...] = ()
    scored: tuple[Span, ...] = ()
    """Where turns are known; empty: everywhere."""
    words: tuple[TimedWord, ...] = ()
    speech: tuple[Span, ...] | None = None
    """Where somebody speaks, if that is known: there should be words nowhere else."""
    named_group: str | None = None

    @property
    def voices(self) -> set[str]:
        """Who says what is known to be said."""
        return {utterance.speaker for utterance in self.utterances}

    @property
    def speakers(self) -> int | None:
        return len({turn.speaker for turn in self.turns} or self.voices) or None

    @property
    def group(self) -> str:
        """What kind of recording this is: what is easy or hard together is pooled together."""
        if self.named_group:
            return self.named_group
        if not self.has_speech:
            return "nobody speaks"
        if (self.speakers or 1) > 1:
            return "several speakers"
        if self.language is None:
            return "one speaker"
        return "one speaker, English" if self.language == "en" else "one speaker, other languages"

    @property
    def has_speech(self) -> bool:
        """What is said, or who speaks, is known."""
        return bool(self.text or self.utterances or self.turns or self.words)

    @property
    def is_empty(self) -> bool:
        """Nothing is known that a transcript could be compared with."""
        return self.speech is None and not self.has_speech


def find_references(folder: Path, manifest: Path | None = None) -> list[Reference]:
    """The recordings of a folder about which something is known, in order of their names.

    :raises PipelineError: BAD_GOLDEN_SET, naming what is wrong with the manifest or a reference, or if there is none.
    """
    if manifest is None and (folder / MANIFEST_NAME).is_file():
        manifest = folder / MANIFEST_NAME
    listed = _listed(folder, read_manifest(manifest)) if manifest else dict.fromkeys(_recordings(folder), Entry())
    references = [_reference(folder, recording, entry) for recording, entry in sorted(listed.items())]
    known = [reference for reference in references if not reference.is_empty]
    if not known:
        raise PipelineError(ErrorCode.BAD_GOLDEN_SET, f"{len(references)} recordings, none with a reference")
    return known


# --- the manifest ---------------------------------------------------------------------------------------------------


def _inside(name: str) -> str:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError("must be a path inside the folder")
    return name


_Name = Annotated[str, AfterValidator(_inside)]


class Entry(BaseModel):
    """What a manifest says about the recordings of one pattern."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: str | None = None
    text: _Name | None = None
    stm: _Name | None = None
    rttm: _Name | None = None
    uem: _Name | None = None
    words: _Name | None = None
    speech: tuple[Span, ...] | None = None
    group: str | None = None


class Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    recordings: dict[_Name, Entry]
    """By path or glob pattern, relative to the folder; a later pattern replaces an earlier one."""


def read_manifest(path: Path) -> Manifest:
    """:raises PipelineError: BAD_GOLDEN_SET, with every problem."""
    try:
        return Manifest.model_validate(plain_yaml.load(_read_bytes(path, plain_yaml.MAX_BYTES)))
    except plain_yaml.BadYaml as error:
        raise _unusable(path, str(error).lstrip(":, ")) from None
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors(include_input=False))
        raise _unusable(path, "; ".join(problems)) from None


def _listed(folder: Path, manifest: Manifest) -> dict[Path, Entry]:
    listed: dict[Path, Entry] = {}
    for pattern, entry in manifest.recordings.items():
        found = [path for path in folder.glob(pattern) if path.is_file()]
        if not found:
            raise PipelineError(ErrorCode.BAD_GOLDEN_SET, f"the manifest lists {pattern!r}, which is not in the folder")
        listed |= dict.fromkeys(found, entry)
    return listed


def _recordings(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.name.lower().endswith(_MEDIA_SUFFIXES) and path.is_file())


# --- putting a reference together -----------------------------------------------------------------------------------


def _reference(folder: Path, recording: Path, entry: Entry) -> Reference:
    name = recording.relative_to(folder).as_posix()
    reference = Reference(recording, name, entry.language, speech=entry.speech, named_group=entry.group)
    if entry.speech == ():
        return reference

    def named(name: str | None, *suffixes: str) -> Path | None:
        """The file that the manifest names, else the first that lies beside the recording."""
        if name:
            return folder / name
        beside = (recording.with_suffix(suffix) for suffix in suffixes)
        return next((path for path in beside if path.is_file()), None)

    if path := named(entry.words, ".json"):
        reference = _with_words(reference, path)
    if path := named(entry.text, ".ref.txt", ".txt"):
        reference = replace(reference, text=_read(path).strip())
    utterances = tuple(sorted(_about(recording, named(entry.stm), _STM), key=lambda utterance: utterance.start or 0.0))
    turns = _about(recording, named(entry.rttm), _RTTM)
    scored = _about(recording, named(entry.uem), _UEM)
    reference = replace(reference, utterances=utterances or reference.utterances, turns=turns, scored=scored)
    if reference.text is None and len(reference.voices) == 1:
        return replace(reference, text=" ".join(utterance.text for utterance in reference.utterances) or None)
    return reference


@dataclass(frozen=True)
class _Format(Generic[T]):
    """A format of lines, each about the recording that one of its columns names."""

    suffix: str
    columns: int
    recording_column: int
    parse: Callable[[list[str]], T]


def _utterance(row: list[str]) -> Utterance:
    """An STM line may have a label such as <o,f0,female> before its text."""
    words = row[6:] if row[5].startswith("<") and row[5].endswith(">") else row[5:]
    return Utterance(row[2], " ".join(words), float(row[3]), float(row[4]))


_STM = _Format(".stm", 6, 0, _utterance)
_RTTM = _Format(".rttm", 8, 1, lambda row: Turn(float(row[3]), float(row[3]) + float(row[4]), row[7]))
_UEM = _Format(".uem", 4, 0, lambda row: (float(row[2]), float(row[3])))


def _about(recording: Path, named: Path | None, form: _Format[T]) -> tuple[T, ...]:
    """What is said about this recording in `named`, or else in all such files of its folder.

    A file that carries the recording's name and is about one recording is about this one, whatever it calls it.
    """
    found: list[T] = []
    for path in [named] if named else sorted(recording.parent.glob(f"*{form.suffix}")):
        rows = [line.split() for line in _read(path).splitlines() if line.strip() and not line.startswith(";")]
        if form is _RTTM:
            rows = [row for row in rows if row[0] == "SPEAKER"]
        try:
            if any(len(row) < form.columns for row in rows):
                raise ValueError(f"a line has fewer than {form.columns} columns")
            own = path.stem == recording.stem and len({row[form.recording_column] for row in rows}) == 1
            found += [form.parse(row) for row in rows if own or row[form.recording_column] == recording.stem]
        except ValueError as error:
            raise _unusable(path, str(error)) from error
    return tuple(found)


# --- words in JSON --------------------------------------------------------------------------------------------------

_VARIANT = re.compile(r"\(\d+\)$")
"""soundswallower and pocketsphinx number the pronunciations of a word: 'and(2)'."""


def _with_words(reference: Reference, path: Path) -> Reference:
    """The reference with what a JSON file says about words, in any of the forms that are read."""
    try:
        document = json.loads(_read(path))
        if "tests" in document:
            return _with_picovoice(reference, document["tests"])
        if "w" in document:
            spoken = [word for word in document["w"] if not word["t"].startswith(("<", "["))]
            words = tuple(TimedWord(_VARIANT.sub("", word["t"]), float(word["b"])) for word in spoken)
            return replace(reference, words=words, text=document.get("t"))
        listed = document.get("words") or [w for segment in document.get("segments", ()) for w in segment["words"]]
        words = tuple(TimedWord(w.get("word") or w["text"], float(w["start"])) for w in listed if "start" in w)
        language = reference.language or document.get("language")
        text = document.get("text") or " ".join(word.text for word in words) or None
        return replace(reference, words=words, language=language, text=text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unusable(path, "not one of the forms of words in JSON") from error


def _with_picovoice(reference: Reference, tests: Mapping[str, Any]) -> Reference:
    """The test data of Picovoice's Leopard: one JSON for many recordings, with times or with speakers."""
    about = [test for kind in tests.values() for test in kind if test["audio_file"] == reference.recording.name]
    for test in about:
        words = test["words"]
        timed = tuple(TimedWord(word["word"], float(word["start_sec"])) for word in words if "start_sec" in word)
        voices = dict.fromkeys(str(word["speaker_tag"]) for word in words)
        utterances = tuple(
            Utterance(voice, " ".join(word["word"] for word in words if str(word["speaker_tag"]) == voice))
            for voice in voices
        )
        return replace(
            reference,
            language=reference.language or test["language"],
            text=test.get("transcript") or " ".join(word["word"] for word in words),
            words=timed,
            utterances=utterances if len(voices) > 1 else (),
        )
    return reference


def _read(path: Path) -> str:
    try:
        return _read_bytes(path, _MAX_REFERENCE_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unusable(path, "not UTF-8") from error


def _read_bytes(path: Path, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise _unusable(path, f"larger than {limit // 1024} KiB")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise _unusable(path, "there is no such file") from error


def _unusable(path: Path, problem: str) -> PipelineError:
    return PipelineError(ErrorCode.BAD_GOLDEN_SET, f"{path.name!r}: {problem}")
