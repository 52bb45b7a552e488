"""The bounds on tokens, against a real tokenizer: SmolLM2's, which knows little but English."""

# ruff: noqa: RUF001  (letters of other scripts are what this is about)

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.language_models.conftest import Points
from transcribe_pipeline.language_models.schemas import schema_of
from transcribe_pipeline.language_models.tokens import at_least, at_most

TEXTS = {
    "English": "The committee decided on Tuesday that the budget would be doubled. Um, yeah, I mean, uh-huh, no no no.",
    "lines": "12|SPEAKER_00|Yes.\n13|SPEAKER_01|No, I do not think so.\n",
    "German": "Die Geschwindigkeitsüberschreitung wurde vom Bundesverfassungsgericht bestätigt, über Öffnungszeiten.",
    "Welsh": "Penderfynodd y pwyllgor ddydd Mawrth y byddai'r gyllideb ar gyfer y llyfrgell newydd yn cael ei dyblu.",
    "Swahili": "Kamati iliamua siku ya Jumanne kwamba bajeti ya maktaba mpya itaongezwa maradufu kwa sababu.",
    "Finnish": "Komitea päätti tiistaina, että uuden kirjaston budjetti kaksinkertaistetaan.",
    "Vietnamese": "Ủy ban đã quyết định vào thứ Ba rằng ngân sách cho thư viện mới sẽ được tăng gấp đôi.",
    "Chinese": "今天我們討論了新的預算,委員會決定在星期二之前完成所有的工作。這是一個非常重要的決定。",
    "Cantonese": "委員會禮拜二決定將新圖書館嘅預算加倍,因為嚟嘅人多咗四成。佢哋話要諗吓先。",
    "Japanese": "昨日の会議では、新しい予算について話し合いました。カタカナとひらがなが混ざった文章です。",
    "Korean": "어제 회의에서 새로운 예산에 대해 논의했습니다. 화요일까지 모든 작업을 끝내야 합니다.",
    "Arabic": "قررت اللجنة يوم الثلاثاء مضاعفة ميزانية المكتبة الجديدة بسبب ارتفاع عدد الزوار.",
    "Urdu": "کمیٹی نے منگل کو فیصلہ کیا کہ نئی لائبریری کا بجٹ دگنا کیا جائے گا۔",
    "Hebrew": "הוועדה החליטה ביום שלישי שתקציב הספרייה החדשה יוכפל כי הנוכחות עלתה בארבעים אחוזים.",
    "Russian": "Комитет решил во вторник, что бюджет новой библиотеки будет удвоен.",
    "Mongolian": "Хороо мягмар гарагт шинэ номын сангийн төсвийг хоёр дахин нэмэгдүүлэхээр шийдвэрлэв.",
    "Hindi": "समिति ने मंगलवार को निर्णय लिया कि नए पुस्तकालय का बजट दोगुना किया जाएगा।",
    "Thai": "คณะกรรมการตัดสินใจเมื่อวันอังคารว่างบประมาณสำหรับห้องสมุดใหม่จะเพิ่มขึ้นเป็นสองเท่า",
    "Armenian": "Կոմիտեն երեքշաբթի որոշեց, որ նոր գրադարանի բյուջեն կկրկնապատկվի։",
    "Amharic": "ኮሚቴው ማክሰኞ ዕለት የአዲሱ ቤተ መጻሕፍት በጀት በእጥፍ እንዲጨምር ወሰነ።",
    "names": "Krzyzewski, Wojciechowska, Nguyen, Subramaniam, O'Shaughnessy, Szczesny, Mkhitaryan, Iwobi.",
    "code": "def f(x):\n    return {'a': [i**2 for i in range(x)], \"b\": None}\n\t\tif (x<=3 && y!=4) { z++; }",
    "digits": "123456789012345678901234567890 3.14159 2026-11-23 10:47:57",
    "emoji": "😀🎉👩‍👩‍👧‍👦🏳️‍🌈 🇩🇪 ✅",
    "punctuation": "!@#$%^&*()_+-=[]{}|;':\",./<>?`~",
    "capitals": "THE BUDGET WAS XQZJ KVWP BZQX HJKL QWRT",
    "consonants": "qwz xkcd jvbn plmk zxcv hjgf wqrt bnml",
    "base64": "aGVsbG8gd29ybGQgdGhpcyBpcyBiYXNlNjQ=",
    "nonce": "<transcript-9f8a7b6c5d4e3f21>",
    "white space": "     \n\n\n   \t\t ",
    "schema": str(schema_of(Points)),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_the_bounds_hold_for_a_real_tokenizer(kind: str, smollm2: str) -> None:
    text = TEXTS[kind]
    with httpx2.Client(trust_env=False, timeout=60) as client:
        answer = client.post(f"{smollm2.removesuffix('/v1')}/tokenize", json={"content": text})
    count = len(answer.json()["tokens"])
    assert at_least(text) <= count <= at_most(text)


def test_the_bound_is_not_so_safe_that_it_wastes_the_context() -> None:
    """English has 1.2 tokens a word or more; half of a context is made use of at least."""
    assert at_most(TEXTS["English"]) < 2.5 * len(TEXTS["English"].split())
    assert at_most("") == 0


@given(st.text())
def test_there_are_never_more_tokens_than_bytes(text: str) -> None:
    assert 0 <= at_most(text) <= len(text.encode(errors="replace"))


@given(st.lists(st.text()))
def test_lines_one_by_one_are_no_fewer_tokens_than_together(lines: list[str]) -> None:
    assert at_most("\n".join(lines)) <= sum(at_most(f"{line}\n") for line in lines)
