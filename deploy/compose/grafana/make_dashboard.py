"""Writes quire.json, the Grafana dashboard, beside itself: python3 make_dashboard.py

The panels are this table; the JSON is committed, and a test holds both together.
"""

import json
from pathlib import Path

PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))


def rate(name: str) -> str:
    return f"sum(rate({name}[$__rate_interval]))"


def quantiles(name: str) -> list:
    return [(f"histogram_quantile({share}, sum by (le) (rate({name}_bucket[$__rate_interval])))",
             text) for text, share in PERCENTILES]


PANELS = (
    ("Tokens", "short", [(rate("vllm:generation_tokens_total"), "generated per second"),
                         (rate("vllm:prompt_tokens_total"), "prompts, per second")]),
    ("Requests ended per second", "short",
     [("sum by (finished_reason) (rate(vllm:request_success_total[$__rate_interval]))",
       "{{finished_reason}}"), (rate("quire_sequences_failed_total"), "failed")]),
    ("Queue", "short", [("sum(vllm:num_requests_running)", "running"),
                        ("sum(vllm:num_requests_waiting)", "waiting")]),
    ("Time to first token", "s", quantiles("vllm:time_to_first_token_seconds")),
    ("Inter-token latency", "s", quantiles("vllm:inter_token_latency_seconds")),
    ("End to end", "s", quantiles("vllm:e2e_request_latency_seconds")),
    ("Time in the queue", "s", quantiles("vllm:request_queue_time_seconds")),
    ("Page pool in use", "percentunit", [("vllm:kv_cache_usage_perc", "{{instance}}")]),
    ("Pages", "short", [("sum(quire_kv_blocks)", "all"), ("sum(quire_kv_blocks_free)", "free")]),
    ("Prefix hits, share of prompt tokens", "percentunit",
     [(rate("vllm:prefix_cache_hits_total") + " / " + rate("vllm:prefix_cache_queries_total"),
       "hits")]),
    ("Preemptions and evicted pages per second", "short",
     [(rate("vllm:num_preemptions_total"), "preemptions"),
      (rate("quire_page_evictions_total"), "evicted pages")]),
    ("Engine", "s", [("quire_engine_heartbeat_age_seconds", "heartbeat's age {{instance}}"),
                     ("quire_largest_token_gap_seconds", "largest token gap {{instance}}")]),
)
COLUMNS, WIDTH, HEIGHT = 3, 8, 8


def panel(number: int, title: str, unit: str, queries: list) -> dict:
    return {
        "id": number + 1, "type": "timeseries", "title": title,
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "gridPos": {"x": number % COLUMNS * WIDTH, "y": number // COLUMNS * HEIGHT, "w": WIDTH,
                    "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [{"refId": chr(ord("A") + i), "expr": expression, "legendFormat": legend}
                    for i, (expression, legend) in enumerate(queries)],
    }


def dashboard() -> str:
    panels = [panel(number, *row) for number, row in enumerate(PANELS)]
    return json.dumps({"uid": "quire", "title": "Quire", "schemaVersion": 39, "version": 1,
                       "refresh": "5s", "time": {"from": "now-15m", "to": "now"}, "tags": ["quire"],
                       "templating": {"list": []}, "panels": panels}, indent=1) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "quire.json").write_text(dashboard(), encoding="utf-8")
