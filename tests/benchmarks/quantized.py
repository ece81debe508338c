"""int8 and binary codes against the float32 exact scan, for `measure.py`: python tests/benchmarks/quantized.py."""

from __future__ import annotations

import json
import statistics
import time

import numpy as np

N_DOCS, DIM, N_QUERIES, K, ROUNDS = 100_000, 768, 128, 10, 7


def quantized() -> dict:
    """Time exact scoring of 100,000 × 768 codes, one query and 128 at once, against float32 with as many threads.

    Float32 is the faster of our two exact scans for each case: `PrefixStore.search` for one query (one thread, as the
    codes), `nested_topk` for the batch. Every figure is the median over rounds of a ratio taken within the round; above
    1 the codes are faster.
    """
    from engine.scoring import PrefixStore, nested_topk, usable_processors
    from engine.scoring.blas import one_blas_thread
    from engine.scoring.codes import quantize
    from engine.scoring.quantized import code_topk

    rng = np.random.default_rng(0)
    corpus, queries = (rng.standard_normal((n, DIM), dtype=np.float32) for n in (N_DOCS, N_QUERIES))
    store = PrefixStore(corpus, dims=(DIM,))
    codes = {dtype: quantize(corpus, DIM, dtype) for dtype in ("int8", "binary")}
    cases = [("single", 1), ("batch", 1)]
    cases += [("batch", usable_processors())] if usable_processors() > 1 else []
    results: dict = {"n_docs": N_DOCS, "dim": DIM, "batch_queries": N_QUERIES, "k": K, "threads": usable_processors()}
    for case, n_threads in cases:

        def float32(case=case, n_threads=n_threads) -> None:
            if case == "single":
                store.search(queries[0], K)
            else:
                nested_topk(corpus, queries, (DIM,), K, n_threads=n_threads)

        def coded(dtype: str, case=case, n_threads=n_threads) -> None:
            code_topk(codes[dtype], queries[:1] if case == "single" else queries, K, n_threads=n_threads)

        with one_blas_thread():
            results |= _ratios(f"{case}_{n_threads}_threads", float32, coded)
    return results


def _ratios(name: str, float32, coded) -> dict:
    rounds = []
    for number in range(ROUNDS + 1):
        times = [_seconds(work) for work in (float32, lambda: coded("int8"), lambda: coded("binary"))]
        if number:  # the first round compiles and touches every page
            rounds.append(times)
    return {
        f"{name}_float32_ms": 1e3 * statistics.median(plain for plain, _, _ in rounds),
        f"{name}_int8_ms": 1e3 * statistics.median(int8 for _, int8, _ in rounds),
        f"{name}_binary_ms": 1e3 * statistics.median(binary for _, _, binary in rounds),
        f"{name}_float32_over_int8": statistics.median(plain / int8 for plain, int8, _ in rounds),
        f"{name}_float32_over_binary": statistics.median(plain / binary for plain, _, binary in rounds),
    }


def _seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    print(json.dumps(quantized()))  # noqa: T201 -- its output
