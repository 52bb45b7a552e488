import pytest

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.language_models import facts
from transcribe_pipeline.language_models.choice import ModelName, Price, parse, parse_prices, parse_tasks

TASKS = ("summary", "chapters")
CLAUDE, LLAMA = ModelName("anthropic", "claude-x"), ModelName("ollama", "llama3.2:3b")


def test_models_in_order_each_once() -> None:
    assert parse(" anthropic/claude-x, ollama/llama3.2:3b,,anthropic/claude-x") == (CLAUDE, LLAMA)
    assert parse("") == ()


def test_a_model_s_name_may_hold_slashes() -> None:
    assert parse("openrouter/meta-llama/llama-3.3-70b:free") == (("openrouter", "meta-llama/llama-3.3-70b:free"),)


def test_models_of_single_tasks() -> None:
    chosen = parse_tasks("summary=anthropic/claude-x, ollama/llama3.2:3b, chapters = ollama/llama3.2:3b", TASKS)
    assert chosen == {"summary": (CLAUDE, LLAMA), "chapters": (LLAMA,)}
    assert parse_tasks("", TASKS) == {}


def test_prices_of_a_million_tokens() -> None:
    assert parse_prices("anthropic/claude-x=1.25/10,ollama/llama3.2:3b=0/0") == {
        CLAUDE: Price(1.25, 10),
        LLAMA: Price(0, 0),
    }


@pytest.mark.parametrize("text", ["claude-x", "google/gemini", "anthropic/", "/x", "anthropic/a b", "ollama/a\nb"])
def test_what_names_no_model_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(PipelineError, match="TRANSCRIBE_LLM") as caught:
        parse(text)
    assert caught.value.code is ErrorCode.CONFIGURATION


@pytest.mark.parametrize(
    "text", ["anthropic/claude-x", "dinner=anthropic/claude-x", "summary=x", "=anthropic/claude-x"]
)
def test_what_names_no_task_is_refused(text: str) -> None:
    with pytest.raises(PipelineError, match="TRANSCRIBE_LLM_TASKS"):
        parse_tasks(text, TASKS)


@pytest.mark.parametrize(
    "text", ["anthropic/x", "anthropic/x=1", "anthropic/x=a/b", "anthropic/x=-1/2", "anthropic/x=nan/1"]
)
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(PipelineError, match="TRANSCRIBE_LLM_PRICES"):
        parse_prices(text)


def test_facts_go_by_the_longest_beginning_and_ignore_the_date_of_a_snapshot() -> None:
    assert facts.openai_context("gpt-4o-2024-11-20") == facts.openai_context("gpt-4o-mini") == 128_000
    assert facts.openai_context("gpt-4") == 8_192
    assert facts.openai_context("gpt-4.1-mini") == 1_047_576
    assert facts.openai_context("whatever-comes") == 128_000
    assert facts.price(ModelName("anthropic", "claude-opus-4-1-20250805")) == Price(15, 75)
    assert facts.price(ModelName("openai", "gpt-4o-2024-11-20")) == Price(2.5, 10)
    assert facts.price(ModelName("openai", "gpt-5.99")) is None
    assert facts.price(ModelName("ollama", "gpt-4o")) is None
