import pytest

from transcribe_pipeline.speech.recognisers.language_names import language_code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("english", "en"),
        ("English", "en"),
        ("haitian creole", "ht"),
        ("castilian", "es"),
        ("de", "de"),
        ("pt-BR", "pt"),
        ("zh_CN", "zh"),
        ("yue", "yue"),
        ("klingon", None),
        ("", None),
    ],
)
def test_names_and_codes_become_codes(name, code):
    assert language_code(name) == code
