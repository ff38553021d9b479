"""The web page in headless Chromium: the live page map, the playground, the keyboard, dark and light.

Screenshots go to $SCREENSHOTS (default: a folder below the system's temporary one).
"""

import os
import re
import tempfile
import threading
import unittest
from pathlib import Path

from tests.e2e.browser import Browser, chromium
from tests.e2e.daemon import HOST, Daemon
from tests.e2e.wire import ask, get, post

FOLDER = Path(os.environ.get("SCREENSHOTS") or Path(tempfile.gettempdir(), "quire-screenshots"))
GONE = re.compile(r"404 \(Not Found\) \S*/pages\?request=\d+$")


def text(selector: str) -> str:
    return f"document.querySelector('{selector}').textContent"


@unittest.skipUnless(chromium(), "there is no chromium")
class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        FOLDER.mkdir(parents=True, exist_ok=True)
        cls.daemon = cls.enterClassContext(Daemon("--kv-cache-memory", "64MiB"))
        cls.url = f"http://{HOST}:{cls.daemon.port}/"

    def open(self, **options) -> Browser:
        page = self.enterContext(Browser(self.url, **options))
        page.wait_for(f"{text('#health')} === 'live'")
        return page

    def tearDown(self):
        self.assertEqual(ask(self.daemon.port, get("/health")).status, 200)

    def check_clean(self, page: Browser):
        """No error of script or policy, and nothing asked of anybody else."""
        # A request that is pointed at may end before its blocks are asked for; the browser tells of
        # the 404.
        problems = [p for p in page.problems if not GONE.search(p)]
        self.assertEqual(problems, [])
        self.assertEqual([u for u in page.requested if not u.startswith((self.url, "data:"))], [])

    def load(self, tokens: int) -> list[threading.Thread]:
        """Requests with one beginning in common."""
        body = {"prompt": "Once upon a time there was a " * 12, "max_tokens": tokens,
                "ignore_eos": True, "n": 3, "temperature": 1.0}
        threads = [threading.Thread(target=ask, args=(self.daemon.port, post("/v1/completions", body)))
                   for _ in range(6)]
        for thread in threads:
            thread.start()
        return threads

    def test_the_map_shows_the_pool_under_load(self):
        page = self.open()
        blocks = page.run("quire.live.map.size")
        self.assertEqual(page.run("quire.live.map.counts.reduce((a, b) => a + b)"), blocks)
        threads = self.load(1500)
        page.wait_for("quire.live.map.counts[2] > 20 && quire.live.map.counts[3] > 0")
        page.wait_for("document.querySelectorAll('#requests tr').length >= 6")
        page.move_to("#requests tr")
        page.wait_for(f"{text('#about')}.startsWith('Request #') && quire.live.map.lit.length > 0")
        page.screenshot(str(FOLDER / "map-light.png"))
        page.run("document.getElementById('map').focus()")
        page.press("ArrowRight", 39)
        page.press("ArrowRight", 39)
        page.wait_for(f"{text('#about')}.startsWith('Block 1:')")
        page.wait_for(f"{text('#about')}.includes('steps')")
        for thread in threads:
            thread.join()
        # The last change is told although nothing runs any more; what was computed stays cached.
        page.wait_for("quire.live.map.counts[2] === 0 && quire.live.map.counts[1] > 0")
        self.assertEqual(page.run("quire.live.map.counts.reduce((a, b) => a + b)"), blocks)
        page.wait_for("document.querySelectorAll('#requests tr').length === 0")
        self.check_clean(page)

    def test_a_completion_with_the_probabilities_of_its_tokens(self):
        page = self.open()
        page.run("document.getElementById('max_tokens').value = 40")
        page.run("document.getElementById('run').click()")
        page.wait_for(f"{text('#usage')} !== ''")
        self.assertTrue(page.run(text("#output")).startswith("Once upon a time"))
        self.assertGreater(page.run("document.querySelectorAll('.token').length"), 5)
        page.move_to(".token")
        self.assertIn("%", page.wait_for(f"!document.getElementById('tip').hidden && {text('#tip')}"))
        page.screenshot(str(FOLDER / "completion.png"))
        self.check_clean(page)

    def test_chat_and_stop_in_the_dark(self):
        page = self.open(dark=True)
        page.run("document.querySelector('input[value=chat]').click()")
        page.run("document.getElementById('prompt').value = 'Tell me a story about a duck.'")
        page.run("document.getElementById('run').click()")
        page.wait_for("!!document.querySelector('.turn.assistant, .error')")
        page.screenshot(str(FOLDER / "chat-dark.png"))
        self.assertEqual(page.run("document.querySelectorAll('.error').length"), 0,
                         page.run(text("#output")))
        page.run("document.getElementById('max_tokens').value = 1500")
        page.run("document.getElementById('prompt').value = 'And a goose?'")
        page.run("document.getElementById('run').click()")
        page.press("Escape", 27)
        page.wait_for("!document.getElementById('run').disabled")
        roles = page.run("quire.playground.messages.map(m => m.role).join()")
        self.assertIn(roles, ("user,assistant", "user,assistant,user,assistant"))
        self.check_clean(page)

    def test_a_turn_that_is_refused_is_taken_back(self):
        page = self.open()
        page.run("document.querySelector('input[value=chat]').click()")
        page.run("document.getElementById('top_p').value = 7")
        page.run("document.getElementById('prompt').value = 'Well?'")
        page.run("document.getElementById('run').click()")
        page.wait_for("!!document.querySelector('.error')")
        self.assertEqual(page.run("quire.playground.messages.length"), 0)
        self.assertEqual(page.run("document.querySelectorAll('.turn').length"), 0)
        self.assertEqual(page.run("document.getElementById('prompt').value"), "Well?")

    def test_rates_are_of_one_connection(self):
        page = self.open()
        page.run("quire.live.history.unshift({ time: 0, stats: null })")
        page.run("quire.live.abort.abort()")
        page.wait_for("quire.live.history.length > 0 && quire.live.history[0].time > 0")

    def test_a_mistake_is_shown_as_the_daemon_tells_it(self):
        page = self.open()
        page.run("document.getElementById('top_p').value = 7")
        page.run("document.getElementById('run').click()")
        page.wait_for("!!document.querySelector('.error')")
        self.assertIn("top_p", page.run(text(".error")))

    def test_what_is_served_is_no_more_than_the_page(self):
        answer = ask(self.daemon.port, get("/"))
        self.assertEqual(answer.status, 200)
        fields = {name.lower(): value for name, value in answer.headers.items()}
        self.assertTrue(fields["content-type"].startswith("text/html"))
        self.assertIn("default-src 'none'", fields["content-security-policy"])
        self.assertEqual(ask(self.daemon.port, get("/ui/app.js")).status, 200)
        for name in ("", "x.js", "..%2f..%2fetc%2fpasswd", "%2e%2e/index.html"):
            self.assertEqual(ask(self.daemon.port, get(f"/ui/{name}")).status, 404)


if __name__ == "__main__":
    unittest.main(verbosity=2)
