"""llama.cpp's side of bench/serve.py: its library alone, without a server around it.

    PYTHON bench/serve_peer.py FILE.gguf THREADS ROUNDS

Eight prompts are read in one pass and go on together, greedily: as well as any server on it
could do, and with nobody to send the tokens to. Prints one line of JSON.
"""

import ctypes
import json
import sys
import time

import llama_cpp  # pyright: ignore[reportMissingImports]
import numpy as np
from infer_peer import _QUIET, CONTEXT, PROMPT, ROWS, forget, submit

WRITTEN = 64


def main() -> None:
    path, threads, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    llama_cpp.llama_log_set(_QUIET, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    defaults = llama_cpp.llama_model_default_params()
    model = llama_cpp.llama_model_load_from_file(path.encode(), defaults)
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = ROWS * CONTEXT, 2048, 512
    params.n_seq_max = ROWS
    params.n_threads = params.n_threads_batch = threads
    context = llama_cpp.llama_init_from_model(model, params)
    size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    results = [one_round(context, size) for _ in range(rounds + 1)][1:]
    print(
        json.dumps({"rate": [r for r, _ in results], "first": [f for _, f in results]})
    )


def one_round(context, size: int) -> tuple[float, float]:
    """Tokens per second of all, and seconds until the first of each is there."""
    forget(context)
    begun = time.perf_counter()
    prompts = [
        (100 + 7 * row + i, i, row, i == PROMPT - 1)
        for row in range(ROWS)
        for i in range(PROMPT)
    ]
    submit(context, prompts)
    places = [PROMPT * (row + 1) - 1 for row in range(ROWS)]
    current = [likeliest(context, place, size) for place in places]
    first = time.perf_counter() - begun
    for step in range(WRITTEN - 1):
        submit(context, [(current[r], PROMPT + step, r, True) for r in range(ROWS)])
        current = [likeliest(context, row, size) for row in range(ROWS)]
    return ROWS * WRITTEN / (time.perf_counter() - begun), first


def likeliest(context, place: int, size: int) -> int:
    logits = llama_cpp.llama_get_logits_ith(context, place)
    return int(np.ctypeslib.as_array(logits, (size,)).argmax())


if __name__ == "__main__":
    main()
