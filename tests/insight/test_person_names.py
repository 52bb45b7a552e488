"""What is a name of a person, and what is not."""

import pytest

from transcribe_pipeline.insight.person_names import core, is_name, name_in


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ann Lee from Austin", "Ann Lee"),
        ("Ann, who", "Ann"),
        ("Dr. Maria Lopez is here", "Maria Lopez"),
        ("Dr. Lopez.", "Dr Lopez"),
        ("Frau Weber", "Frau Weber"),
        ("Ludwig van Beethoven wrote", "Ludwig van Beethoven"),
        ("J. R. Smith,", "J. R. Smith"),
        ("Seán O’Neill and", "Seán O’Neill"),  # noqa: RUF001
        ("Jean-Luc", "Jean-Luc"),
        ("Jack London", "Jack London"),
        ("Иван Петров", "Иван Петров"),
    ],
)
def test_names_of_people(text: str, name: str):
    found = name_in(text)
    assert found
    assert found[0] == name


@pytest.mark.parametrize(
    "text",
    ["great", "Texas", "Bob's house", "NATO", "iPhone", "I", "I'm", "Dr.", "Mr. President", "Mr. Speaker", "Everyone",
     "God", "Irish", "J.", "<b>Bob</b>", "\u202eBob", "\x1b[2J", "B" * 300, "Bobby " * 5 + "Tables", "", " Ann", "42",
     "Monday", "BOB"],
)  # fmt: skip
def test_what_is_no_name(text: str):
    assert name_in(text) is None


def test_a_name_and_nothing_else():
    assert is_name("Ann Lee")
    assert is_name("Ann")
    assert not is_name("Ann Lee <script>")
    assert not is_name("Ann Lee\n")


def test_forms_of_a_name_are_compared_without_titles_and_initials():
    assert core("Dr Lee") == core("lee")
    assert core("Ann B. Lee") == ("ann", "lee")
