"""The man page, the completion and the deployed settings know exactly the binary's flags."""

import re
import subprocess
import unittest

from tests.e2e.daemon import REPOSITORY, binary

DEPLOY = REPOSITORY / "deploy"
COMMANDS = ("serve", "plan", "bench", "health")
TEXTS = (".yaml", ".md", ".service", ".conf", ".cfg", "")


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def flags(command: str) -> set[str]:
    """The long flags of a command's --help."""
    return set(re.findall(r"^  (?:-h,)?(--[a-z0-9-]+)", run(binary(), command, "--help"), re.M))


def complete(*words: str) -> list[str]:
    """What bash offers for the last word."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _quire; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    out = run("bash", "-c", script, "bash", str(DEPLOY / "docs/quire.bash"), binary(), *words)
    return out.split()


class ManPage(unittest.TestCase):
    def test_it_has_each_flag_of_each_command_and_no_other(self):
        page = run("bash", str(DEPLOY / "docs/make_man.sh"), binary()).replace("\\-", "-")
        sections = page.split(".SH FLAGS OF ")[1:]
        for command, section in zip(("serve", "plan", "bench", "health"), sections, strict=True):
            tagged = re.findall(r"^\.TP\n\.B (?:-h,)?(--[a-z0-9-]+)", section, re.M)
            self.assertEqual(set(tagged), flags(command), command)
            self.assertGreater(len(tagged), 1)
        self.assertNotRegex(page, "@[A-Z_]+@")  # a place that was not filled


class Completion(unittest.TestCase):
    def test_commands(self):
        self.assertEqual(complete("se"), ["serve"])
        self.assertLess(set(COMMANDS), set(complete("")))

    def test_flags_of_each_command(self):
        for command in COMMANDS:
            self.assertEqual(set(complete(command, "--")), flags(command), command)

    def test_choices(self):
        self.assertEqual(complete("serve", "--log-format", ""), ["text", "json"])
        self.assertEqual(complete("bench", "--endpoint", "c"), ["completions", "chat"])
        self.assertEqual(complete("serve", "--port", ""), [])
        self.assertIn("/etc", complete("bench", "--json", "/et"))
        self.assertIn("--model", complete("serve", "--no-kv-cache", "--"))


class Settings(unittest.TestCase):
    def test_every_variable_that_is_deployed_is_a_setting(self):
        known = {"QUIRE_" + flag[2:].upper().replace("-", "_") for flag in flags("serve")}
        known |= {"QUIRE_IMAGE", "QUIRE_FLAG"}  # Compose's own; the word for any flag
        found = set()
        for path in DEPLOY.rglob("*"):
            if path.is_file() and path.suffix in TEXTS and "model" not in path.parts:
                found |= set(re.findall(r"\bQUIRE_[A-Z_]+[A-Z]\b", path.read_text("utf-8")))
        found = {name for name in found if not name.startswith("QUIRE_SANITIZE")}
        self.assertGreater(len(found), 4)
        self.assertEqual(found - known, set())


if __name__ == "__main__":
    unittest.main()
