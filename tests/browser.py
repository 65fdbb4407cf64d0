"""Finds the Chromium that the browser tests drive; run as a program, installs one if it can.

`make test` runs this first. Where no browser can be had it says in one line what to install, and
fails only under CI: elsewhere the browser tests are skipped.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ADVICE = ("No Chromium found for the browser tests. Install one (Debian: apt install chromium; "
          "elsewhere: Google Chrome, or `playwright install chromium`), or set BROWSER_PATH.")
# --no-sandbox: as root, and in most containers, Chromium cannot start its own sandbox.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
PLACES = ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
          "C:/Program Files/Google/Chrome/Application/chrome.exe",
          "C:/Program Files (x86)/Google/Chrome/Application/chrome.exe"]


def find_browser():
    """Path of a Chromium or Chrome, the system's before Playwright's own; None without one."""
    asked = os.environ.get("BROWSER_PATH")
    system = [shutil.which(name) for name in NAMES]
    for path in [asked, *system, *PLACES]:
        if path and Path(path).exists():
            return path
    own = playwright_browser()
    return own if Path(own).exists() else None


def playwright_browser():
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        return p.chromium.executable_path


def install_browser():
    """Try Playwright's own Chromium, then, as root on Debian or Ubuntu, the system's package."""
    attempts = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if shutil.which("apt-get") and os.geteuid() == 0:
        attempts += [["apt-get", "-qq", "update"], ["apt-get", "-qq", "-y", "install", "chromium"]]
    for command in attempts:
        try:
            subprocess.run(command, check=False, timeout=600, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired):
            continue  # the next attempt, or the line of advice, says enough
        if find_browser():
            return


def main():
    if not find_browser():
        install_browser()
    browser = find_browser()
    print(f"Browser: {browser}" if browser else ADVICE, file=sys.stdout if browser else sys.stderr)
    return 1 if os.environ.get("CI") and not browser else 0


if __name__ == "__main__":
    sys.exit(main())
