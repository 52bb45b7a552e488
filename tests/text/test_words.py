import pytest

from transcribe_pipeline.text.words import ends_clause, ends_sentence, join_words, joins


@pytest.mark.parametrize(
    ("words", "language", "text"),
    [
        (["It", "is", "done."], "en", "It is done."),
        (["그는", "이리저리", "피하면서"], "ko", "그는 이리저리 피하면서"),
        (["客観", "的", "実在", "の"], "ja", "客観的実在の"),
        (["私は", "Artificial", "Intelligence,", "AI", "です。"], "ja", "私はArtificial Intelligence, AIです。"),
        (["สวัสดี", "ครับ"], "th", "สวัสดีครับ"),
        (["你好"], "zh", "你好"),
        ([], "zh", ""),
        ([], "en", ""),
    ],
)
def test_words_are_joined_as_their_language_is_written(words, language, text):
    assert join_words(iter(words), language) == text


@pytest.mark.parametrize("word", ["done.", "really?”", "done.)", "…", "です。", "है।", "«Oui!»"])
def test_sentence_ends(word):
    assert ends_sentence(word)


@pytest.mark.parametrize("word", ["done", "Dr.", "J.", "(Mrs.", "and,", "3.5", ""])
def test_what_ends_no_sentence(word):
    assert not ends_sentence(word)


def test_clause_ends():
    assert ends_clause("well,")
    assert ends_clause("“so”—")
    assert ends_clause("は、")
    assert not ends_clause("well")


def test_vietnamese_letters_join():
    assert joins("\u1ec7", "-n")
    assert joins("-", "\u1ec7")
    assert not joins("\u0e01", "\u0e02")  # Thai
