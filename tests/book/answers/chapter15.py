"""Right answers to the exercises of chapter 15, and a usual mistake for each."""


def shown(text, stops):
    found = [text.find(stop) for stop in stops if stop in text]
    if found:
        return text[: min(found)]
    held = 0
    for stop in stops:
        for size in range(1, min(len(stop), len(text)) + 1):
            if text.endswith(stop[:size]):
                held = max(held, size)
    return text[: len(text) - held]


def events(chunks):
    whole = b"".join(chunks).decode()
    data = [event.removeprefix("data: ") for event in whole.split("\n\n") if event]
    return data[: data.index("[DONE]")]


def rows_for(fixed, each, seconds):
    return max(0, int((seconds - fixed) // each))


def wrong_shown(text, stops):
    for stop in stops:
        text = text.split(stop)[0]
    return text  # shows what may become a stop


def wrong_events(chunks):
    data = [c.decode(errors="replace").removeprefix("data: ").strip() for c in chunks]
    return [d for d in data if d != "[DONE]"]  # a chunk is no event


def wrong_rows_for(fixed, each, seconds):
    return int(seconds // (fixed + each))  # as if each text read the weights anew
