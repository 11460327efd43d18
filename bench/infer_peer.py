"""llama.cpp's side of bench/infer.py: run by the interpreter that has llama-cpp-python.

    PYTHON bench/infer_peer.py FILE.gguf TOKENS THREADS

llama-cpp-python must be built for this very processor (its default from source). gcc 12
miscompiles two of its files where there is AMX (q8_0 and q4_0 then end in an illegal
instruction); compile ggml-cpu/amx/*.cpp with -fno-tree-dse -fno-dse.

Waits for a line on its input, measures, prints one line of JSON; until the input ends.
"""

import ctypes
import json
import sys
import time

import llama_cpp  # pyright: ignore[reportMissingImports]
import numpy as np

PROMPT, ROWS, CONTEXT = 64, 8, 1024


def main() -> None:
    path, tokens, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    llama_cpp.llama_log_set(_QUIET, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(
        path.encode(), llama_cpp.llama_model_default_params()
    )
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = ROWS * CONTEXT, 2048, 512
    params.n_seq_max = ROWS
    params.n_threads = params.n_threads_batch = threads
    context = llama_cpp.llama_init_from_model(model, params)
    for _ in sys.stdin:
        result = {
            "batch 1": decode(context, 1, tokens),
            "batch 8": decode(context, ROWS, tokens),
            "prefill": prefill(context, 512),
        }
        print(json.dumps(result), flush=True)


@llama_cpp.llama_log_callback
def _QUIET(level, text, data):
    pass


def submit(context, entries: list[tuple[int, int, int, bool]]) -> None:
    """Decode (token, position, sequence, wants logits)."""
    batch = llama_cpp.llama_batch_init(len(entries), 0, 1)
    batch.n_tokens = len(entries)
    for i, (token, position, sequence, wanted) in enumerate(entries):
        batch.token[i], batch.pos[i] = token, position
        batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
        batch.logits[i] = wanted
    assert llama_cpp.llama_decode(context, batch) == 0
    llama_cpp.llama_batch_free(batch)


def forget(context) -> None:
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)


def decode(context, rows: int, tokens: int) -> float:
    """Tokens per second of greedy sequences after a prompt; reading not counted."""
    forget(context)
    vocab = llama_cpp.llama_vocab_n_tokens(
        llama_cpp.llama_model_get_vocab(llama_cpp.llama_get_model(context))
    )
    for row in range(rows):
        ids = range(100, 100 + PROMPT)
        submit(context, [(t, i, row, i == PROMPT - 1) for i, t in enumerate(ids)])
    current = [100] * rows
    start = time.perf_counter()
    for step in range(tokens):
        entries = [(current[r], PROMPT + step, r, True) for r in range(rows)]
        submit(context, entries)
        for row in range(rows):
            logits = llama_cpp.llama_get_logits_ith(context, row)
            current[row] = int(np.ctypeslib.as_array(logits, (vocab,)).argmax())
    return rows * tokens / (time.perf_counter() - start)


def prefill(context, count: int) -> float:
    forget(context)
    ids = [(100 + i, i, 0, i == count - 1) for i in range(count)]
    start = time.perf_counter()
    submit(context, ids)
    llama_cpp.llama_get_logits_ith(context, count - 1)
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
