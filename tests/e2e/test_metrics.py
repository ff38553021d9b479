"""/metrics as Prometheus' own client reads it: names, types, and counts that add up."""

import hashlib
import os
import tempfile
import time
import unittest
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.daemon import Daemon
from tests.e2e.wire import Connection, ask, get, post

PATIENCE = 120  # seconds; a fault, never a measure

# What dashboards and gateways made for vLLM read.
EXPECTED = {
    "vllm:num_requests_running": "gauge", "vllm:num_requests_waiting": "gauge",
    "vllm:kv_cache_usage_perc": "gauge", "vllm:cache_config_info": "gauge",
    "vllm:prompt_tokens": "counter", "vllm:generation_tokens": "counter",
    "vllm:request_success": "counter", "vllm:num_preemptions": "counter",
    "vllm:prefix_cache_queries": "counter", "vllm:prefix_cache_hits": "counter",
    "vllm:time_to_first_token_seconds": "histogram",
    "vllm:inter_token_latency_seconds": "histogram",
    "vllm:request_time_per_output_token_seconds": "histogram",
    "vllm:e2e_request_latency_seconds": "histogram",
    "vllm:request_queue_time_seconds": "histogram",
    "vllm:request_prefill_time_seconds": "histogram",
    "vllm:request_decode_time_seconds": "histogram",
    "vllm:request_prompt_tokens": "histogram", "vllm:request_generation_tokens": "histogram",
    "vllm:iteration_tokens_total": "histogram", "quire_cancel_to_free_seconds": "histogram",
}


class Scrape:
    """One reading: families by name, and sums of samples by name."""

    def __init__(self, port: int):
        answer = ask(port, get("/metrics"))
        assert answer.status == 200, answer.status
        self.content_type = answer.headers["content-type"]
        self.text = answer.body.decode()
        self.families = {f.name: f for f in text_string_to_metric_families(self.text)}
        self.samples: dict[str, float] = {}
        for family in self.families.values():
            for sample in family.samples:
                if not sample.name.endswith("_bucket"):
                    self.samples[sample.name] = self.samples.get(sample.name, 0) + sample.value

    def __getitem__(self, name: str) -> float:
        return self.samples[name]

    def adds_up(self) -> bool:
        return self["quire_sequences_accepted_total"] == (
            self["vllm:request_success_total"] + self["quire_sequences_failed_total"] +
            self["vllm:num_requests_running"] + self["vllm:num_requests_waiting"])


def settled(port: int, ended: int) -> Scrape:
    """The first reading at which so many sequences have ended and the counts add up: an answer may
    reach its client a moment before the loop has counted it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        scrape = Scrape(port)
        if scrape["vllm:request_success_total"] >= ended and scrape.adds_up():
            break
        time.sleep(0.01)
    return scrape


class Metrics(unittest.TestCase):
    def test_names_types_and_counts(self):
        with Daemon() as daemon:
            first = settled(daemon.port, 0)
            self.assertTrue(first.content_type.startswith("text/plain"))
            for name, kind in EXPECTED.items():
                self.assertEqual(first.families[name].type, kind, name)
                for sample in first.families[name].samples:
                    self.assertEqual(sample.labels["model_name"], Path(daemon.model).name)
            self.assertTrue(first.adds_up())

            body = {"prompt": "One day, a little fox met an owl.", "max_tokens": 8, "n": 2,
                    "ignore_eos": True, "seed": 1}
            usage = ask(daemon.port, post("/v1/completions", body)).json()["usage"]
            second = settled(daemon.port, 2)
            self.assertEqual(second["vllm:generation_tokens_total"] -
                             first["vllm:generation_tokens_total"], usage["completion_tokens"])
            self.assertEqual(second["vllm:request_success_total"], 2)
            self.assertEqual(second["vllm:time_to_first_token_seconds_count"], 2)
            self.assertEqual(second["vllm:inter_token_latency_seconds_count"], 14)
            self.assertEqual(second["vllm:e2e_request_latency_seconds_count"], 2)
            self.assertGreater(second["vllm:e2e_request_latency_seconds_sum"], 0)
            self.assertNotIn("little fox", second.text)
            self.assertTrue(second.adds_up())

    def test_clients_that_leave_are_counted_and_leave_nothing_behind(self):
        with Daemon("--max-num-seqs", "4") as daemon:
            crowd = []
            for _ in range(12):
                connection = Connection(daemon.port)
                connection.send(post("/v1/completions", {"prompt": "Once", "max_tokens": 1900,
                                                         "ignore_eos": True, "stream": True}))
                crowd.append(connection)
            while Scrape(daemon.port)["vllm:num_requests_running"] < 4:
                time.sleep(0.01)
            for connection in crowd:
                connection.close()
            end = settled(daemon.port, len(crowd))
            self.assertEqual(end["vllm:num_requests_running"], 0)
            self.assertEqual(end["vllm:kv_cache_usage_perc"], 0)
            self.assertEqual(end["quire_kv_blocks_free"], end["quire_kv_blocks"])
            self.assertGreater(end["quire_cancel_to_free_seconds_count"], 0)
            self.assertTrue(end.adds_up())

    def test_only_an_admin_key_reads_them_where_there_are_keys(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="quire-keys-")))
        digest = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("user", "admin")}
        path = folder / "keys"
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(f"u:{digest['user']}\na:{digest['admin']}:admin\n")
        with Daemon("--api-key-file", str(path)) as daemon:
            statuses = [ask(daemon.port, get("/metrics", headers=h)).status for h in
                        ("", "Authorization: Bearer user\r\n", "Authorization: Bearer admin\r\n")]
            self.assertEqual(statuses, [401, 403, 200])


if __name__ == "__main__":
    unittest.main()
