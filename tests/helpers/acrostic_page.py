"""Uses the page of the acrostics as a visitor does."""

from urllib.parse import parse_qsl, urlencode

from tests.helpers.browser import get_json, js, wait_for


def poems(address, **asked):
    return get_json(address, f"/api/poems?{urlencode({'run': 1, **asked})}")


def visit(page, address, link=""):
    page.get("about:blank")
    page.get(f"{address}acrostic#{link}")
    written(page)


def written(page):
    state = "const p = document.getElementById('poems'); return p && p.getAttribute('aria-busy')"
    wait_for(lambda: js(page, state) == "false")


def click(page, name):
    """Clicks a button, and waits for the poems that it asks for."""
    js(page, "document.getElementById(arguments[0]).click()", name)
    written(page)


def ask(page, message):
    """Types a message and asks for the best poems."""
    js(page, "document.getElementById('message').value = arguments[0]", message)
    click(page, "best")


def text(page, name):
    return js(page, "return document.getElementById(arguments[0]).textContent", name)


def fragment(page):
    """The link's values."""
    return dict(parse_qsl(js(page, "return location.hash.slice(1)")))


def shown(page):
    """The poems on the page, and of each the characters that stand out."""
    code = """return [...document.querySelectorAll('.poem')].map((p) => [
      [...p.querySelectorAll('.line')].map((l) => l.textContent),
      [...p.querySelectorAll('strong')].map((s) => s.textContent).join('')])"""
    return js(page, code)


def pressed(page):
    code = (
        "return [...document.querySelectorAll('.poem')].map((p) => p.getAttribute('aria-pressed'))"
    )
    return js(page, code)
