"""What the benchmark makes of its figures."""

from __future__ import annotations

from scripts.bench_start import LIMITS, NAMES, as_table, summarise


def test_figures_are_medians_and_the_ratio_compares_both_sides() -> None:
    result = summarise({"page_s": [1.0, 9.0, 2.0], "plain_page_s": [4.0, 4.0, 4.0]}, {"refused": 1})
    assert result == {"page_s": 2.0, "plain_page_s": 4.0, "page_ratio": 0.5, "refused": 1}


def test_the_table_says_which_limit_was_missed() -> None:
    table = as_table({"page_ratio": 0.5, "refused": 1, "help_s": 0.2}, markdown=True)
    assert "| page against plain Gradio | 0.500 | 0.65 | ok |" in table
    assert "| `launcher --help` | 0.200 s | 0.2 s | ok |" in table
    assert "| probes refused | 1 | 0 | MISSED |" in table


def test_every_limit_has_a_line() -> None:
    assert set(LIMITS) <= set(NAMES)
