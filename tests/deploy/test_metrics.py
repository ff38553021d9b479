"""Every metric that a dashboard, a manifest or the operations guide names is served, and the guide
explains every metric that is served."""

import importlib.util
import re
import unittest

from tests.e2e.daemon import REPOSITORY, Daemon
from tests.e2e.wire import ask, get, post

DEPLOY = REPOSITORY / "deploy"
NAME = re.compile(r"\b(?:vllm:[a-z_]+|quire_[a-z_]+)\b")
# Words of the guide and of labels that look like names of metrics and are none.
NO_METRICS = {"quire_cuda", "quire_man"}
SUFFIXES = ("_bucket", "_sum", "_count")


def served() -> set[str]:
    """The names of all samples of a daemon that has answered one request."""
    with Daemon() as daemon:
        body = {"prompt": "One day", "max_tokens": 4, "ignore_eos": True}
        assert ask(daemon.port, post("/v1/completions", body)).status == 200
        text = ask(daemon.port, get("/metrics")).body.decode()
    return {re.match(r"[^{ ]+", line).group() for line in text.splitlines()
            if line and not line.startswith("#")}


def family(name: str, samples: set[str]) -> str:
    for suffix in SUFFIXES:
        if name.endswith(suffix) and name.removesuffix(suffix) + "_bucket" in samples:
            return name.removesuffix(suffix)
    return name


def named(text: str) -> set[str]:
    return set(NAME.findall(text)) - NO_METRICS


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.samples = served()
        cls.families = {family(name, cls.samples) for name in cls.samples}

    def test_the_dashboard_asks_only_for_what_is_served(self):
        text = (DEPLOY / "compose/grafana/quire.json").read_text("utf-8")
        self.assertGreater(len(named(text)), 15)
        self.assertEqual(named(text) - self.samples, set())

    def test_the_dashboard_is_what_its_table_says(self):
        source = DEPLOY / "compose/grafana/make_dashboard.py"
        spec = importlib.util.spec_from_file_location("make_dashboard", source)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.assertEqual(module.dashboard(), source.with_name("quire.json").read_text("utf-8"))

    def test_manifests_name_only_what_is_served(self):
        for path in (DEPLOY / "kubernetes").glob("*.yaml"):
            self.assertEqual(named(path.read_text("utf-8")) - self.samples, set(), path.name)

    def test_the_guide_explains_each_metric_and_no_other(self):
        guide = named((DEPLOY / "README.md").read_text("utf-8"))
        ours = {name for name in self.families if NAME.fullmatch(name)}
        groups = tuple(name for name in guide if name.endswith("_"))  # as in quire_tier_*
        guide -= set(groups)
        self.assertEqual(guide - self.families - self.samples, set())
        self.assertEqual({name for name in ours - guide if not name.startswith(groups)}, set())


if __name__ == "__main__":
    unittest.main()
