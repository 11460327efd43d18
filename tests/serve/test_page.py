"""The page in a real browser: it works, offline, and no text becomes markup."""

import json
import shutil
import time
from pathlib import Path

import pytest
from loopback import open_tiny, run_server, send, wait_for

from hornbook.serve.look.runs import Runs

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")
PAGE = Path(__file__).parents[2] / "hornbook" / "serve" / "page"
EVIL = (
    "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
)
CURATION = ("extract", "filter", "dedup")


def test_every_file_of_the_page_is_small_and_names_no_other_host(address):
    files = [path for path in PAGE.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 200_000
    for path in files:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path
        assert "https://" not in text, path
        assert "innerHTML" not in text, path
    assert send(address, "GET", "/").status == 200
    assert send(address, "GET", "/page/main.js").status == 200
    assert send(address, "GET", "/page/../app.py").status == 404


def write_run(folder: Path) -> None:
    """A run with text in it that would like to be markup."""
    (folder / "recipe.toml").write_text("")
    counts = {"documents_in": 3, "documents_out": 2, "bytes_in": 300, "bytes_out": 200}
    example = {"id": "a" * 32, "path": EVIL, "text": EVIL, "note": EVIL}
    for stage in CURATION:
        (folder / stage).mkdir()
        facts = {
            **counts,
            "name": stage,
            "reasons": {EVIL: {"documents": 1, "bytes": 100}},
            "examples": {EVIL: [example]},
            "skipped": [{"path": EVIL, "reason": EVIL}],
            "skipped_count": {EVIL: 1},
        }
        manifest = {"seconds": 1.0, "facts": facts}
        (folder / stage / "manifest.json").write_text(json.dumps(manifest))
    diary = [{"step": n, "loss": 5 - n / 10, "rate": 0.1} for n in range(20)]
    diary += [{"step": 20, "event": EVIL, "why": EVIL}]
    diary += [{"step": 20, "samples": [{"prompt": EVIL, "text": EVIL}]}]
    (folder / "pretrain.partial").mkdir()
    lines = "".join(json.dumps(record) + "\n" for record in diary)
    (folder / "pretrain.partial" / "metrics.jsonl").write_text(lines)


@pytest.fixture(scope="module")
def served(model_directory, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "mine"
    folder.mkdir()
    write_run(folder)
    (folder / "tokenizer").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(model_directory / name, folder / "tokenizer")
    openers = {name: lambda: open_tiny(model_directory) for name in ("tiny", "twin")}
    runs = Runs([folder], (*CURATION, "tokenizer", "pretrain"))
    running = run_server(openers, runs=runs, curation=CURATION)
    wait_for(lambda: running.service.worker.ready)
    yield running
    running.end()


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is missing")
    if PROGRAM is None:
        pytest.skip("no Chromium on this machine")
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=PROGRAM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser, served):
    """A page that fails the test if anything was thrown or asked of another host."""
    context = browser.new_context()
    context.set_default_timeout(30_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda m: faults.append(m.text) if m.type == "error" else None,
    )
    page.on(
        "request",
        lambda r: None if r.url.startswith(served.address) else faults.append(r.url),
    )
    yield page
    assert page.title().startswith("Hornbook")
    assert not faults
    context.close()


def say(page, text):
    page.get_by_label("Your message").fill(text)
    page.keyboard.press("Enter")


@pytest.mark.slow
def test_a_chat_streams_is_regenerated_edited_and_compared(page, served):
    page.goto(f"{served.address}/#chat")
    page.get_by_text("Sampling and instructions").click()
    page.get_by_label("max tokens").fill("30")
    page.get_by_label("seed").fill("1")
    say(page, f"The cat {EVIL}")
    page.get_by_role("button", name="Regenerate").wait_for()
    first = page.locator(".answer .said").inner_text()
    page.locator(".token").first.hover()
    assert page.locator(".float .likely").is_visible()
    assert page.locator(".question .said").inner_text() == f"The cat {EVIL}"
    page.get_by_role("button", name="Regenerate").click()
    page.get_by_role("button", name="Regenerate").wait_for()
    assert page.locator(".answer .said").inner_text() == first  # the same seed
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Edit the message").fill("on the mat")
    page.get_by_role("button", name="Ask again").click()
    page.get_by_role("button", name="Regenerate").wait_for()
    assert page.locator(".question .said").inner_text() == "on the mat"
    page.get_by_label("Compare with").select_option("twin")
    say(page, "sat")
    page.get_by_role("button", name="Regenerate").nth(1).wait_for()
    names = page.locator(".turn").last.locator(".who").all_inner_texts()
    assert names == ["tiny", "twin"]


def seed_of_a_long_answer(address, question: str, tokens: int) -> int:
    """One with which the model doesn't end by itself."""
    for seed in range(50):
        asked = {
            "messages": [{"role": "user", "content": question}],
            "max_tokens": tokens,
            "temperature": 0.7,
            "seed": seed,
        }
        choice = send(address, "POST", "/v1/chat/completions", asked).json["choices"][0]
        if choice["finish_reason"] == "length":
            return seed
    raise AssertionError("every answer ends early")


@pytest.mark.slow
def test_an_answer_can_be_stopped_and_its_row_is_freed(page, served, monkeypatch):
    seed = seed_of_a_long_answer(served.address, "The cat", 400)
    model = served.service.worker.models["tiny"]
    step = model.batch.step

    def slowly():
        time.sleep(0.05)
        return step()

    monkeypatch.setattr(model.batch, "step", slowly)  # 20 s until it ends by itself
    page.goto(f"{served.address}/#chat")
    page.get_by_text("Sampling and instructions").click()
    for label, value in (("max tokens", 400), ("top k", 0), ("seed", seed)):
        page.get_by_label(label).fill(str(value))
    say(page, "The cat")
    page.locator(".answer .token").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text(", stopped").wait_for()
    wait_for(lambda: not model.running)
    assert page.locator(".answer .token").count() < 400


@pytest.mark.slow
def test_curves_of_a_run_under_way_grow(page, served):
    page.goto(f"{served.address}/#run")
    page.locator(".chart path.curve").first.wait_for()
    assert page.locator(".chart").count() == 2
    page.get_by_text("pretrain under way").wait_for()
    assert EVIL in page.locator("main").inner_text()
    before = page.locator(".chart path.curve").first.get_attribute("d")
    folder = served.service.runs.folder("mine")
    with open(folder / "pretrain.partial" / "metrics.jsonl", "a") as diary:
        diary.write('{"step": 30, "loss": 1.0}\n')
    wait_for(
        lambda: page.locator(".chart path.curve").first.get_attribute("d") != before
    )


@pytest.mark.slow
def test_the_funnel_and_what_was_dropped_are_told(page, served):
    page.goto(f"{served.address}/#data")
    page.locator(".step").first.wait_for()
    assert page.locator(".step").count() == len(CURATION)
    page.locator("details.reason > summary").first.click()
    assert page.locator(".specimen pre").first.inner_text() == EVIL


@pytest.mark.slow
def test_a_text_is_split_by_the_run_s_tokenizer(page, served, engine):
    page.goto(f"{served.address}/#tokens")
    page.locator(".piece").first.wait_for()
    text = f"The cat {EVIL}"
    page.get_by_label("Text").fill(text)
    expected = len(engine.tokenizer.encode(text))
    wait_for(lambda: page.locator(".piece").count() == expected)
    assert page.locator(".split").inner_text() == text


@pytest.mark.slow
def test_the_microscope_shows_lens_and_attention(page, served, engine):
    page.goto(f"{served.address}/#microscope")
    page.get_by_label("Text").fill("The cat sat")
    page.get_by_role("button", name="Look").click()
    ids = engine.tokenizer.encode("The cat sat")
    wait_for(lambda: page.locator(".strip button").count() == len(ids))
    assert page.locator(".lens tbody tr").count() == 2
    page.locator(".head canvas").nth(3).wait_for()
    page.get_by_label("Layer").select_option("2")
    page.locator(".strip button").first.click()
    assert page.locator(".strip button").first.get_attribute("aria-pressed") == "true"


@pytest.mark.slow
@pytest.mark.parametrize("tab", ["chat", "run", "data", "tokens", "microscope"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_of_a_phone(browser, served, tab, scheme):
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, color_scheme=scheme
    )
    page = context.new_page()
    page.goto(f"{served.address}/#{tab}")
    page.locator("main > *").first.wait_for(timeout=30_000)
    wide = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert wide <= 360
