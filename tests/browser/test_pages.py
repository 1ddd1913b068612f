"""The pages in real Chromium: loaded, a storm told, a switch thrown, an agent released.

``GOVERNOR_SCREENSHOTS=FOLDER`` keeps pictures of the storm and of the agent, for people to look at.
"""

from __future__ import annotations

import re
import subprocess

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from governor.fleet.client import Counts
from governor.fleet.fleet import describe_member
from governor.fleet.members import Members
from tests.browser.conftest import Open, keep
from tests.browser.world import TOKEN, World
from tests.fleet.test_member import World as FleetWorld
from tests.support.loops import wait_until

ALARMS = re.compile("storm foreseen|retries feed themselves|callers in step|saturated")
PATHS = ("/dashboard", "/agents.html")
PATIENCE_S = 30.0


def read(page: Page) -> Page:
    """Wait until the page shows its first numbers."""
    expect(page.locator("body")).to_have_attribute("data-has-numbers", "")
    expect(page.locator("#connection-text")).to_have_text("Connected")
    return page


def test_the_page_loads_and_leads_to_the_agents(opened: Open, world: World) -> None:
    """Numbers come, one navigation joins both pages, and who costs is a link to the profile."""
    assert world.call("somebody") == 200
    page = read(opened("/dashboard"))
    expect(page.locator("#upstreams tbody tr")).to_have_count(1)
    expect(page.locator("#charts canvas")).to_have_count(5)
    expect(page.locator("#prevented dd").first).not_to_have_text("0")
    throw_a_switch(page)
    page.locator("#people a").first.click()
    expect(page).to_have_url(re.compile(r"/agents\.html#flow-"))
    expect(read(page).locator("#one-title")).to_contain_text("flow-")
    expect(page.locator("#envelope tbody tr")).to_have_count(4)
    page.get_by_role("navigation").get_by_role("link", name="Upstreams").click()
    expect(page).to_have_url(re.compile("/dashboard$"))
    read(page)
    page.get_by_role("navigation").get_by_role("link", name="Agents").click()
    expect(page.locator("#acts tbody tr").first).to_contain_text("policy contain")


def throw_a_switch(page: Page) -> None:
    """Switch one policy off and on again; what has nothing to do has no switch."""
    expect(page.locator("#policies-now")).to_have_text("4 govern, 4 not in use")
    page.locator("#policies summary").click()
    contain = page.get_by_label("Contain long calls")
    contain.select_option("off")
    expect(page.locator("#policies-now")).to_have_text("3 govern, 1 off, 4 not in use")
    contain.select_option("govern")
    expect(page.locator("#policies-now")).to_have_text("4 govern, 4 not in use")
    expect(page.get_by_label("Reroute")).to_be_hidden()
    expect(page.locator("#about-reroute")).to_contain_text("no upstream has several endpoints")


def test_a_storm_is_told_with_its_reason_and_observing_ends_the_acts(
    opened: Open, world: World, storm: subprocess.Popen[bytes]
) -> None:
    """The service stalls under load: alarm, reason, a drawn storm; then a switch in the page."""
    page = read(opened("/dashboard"))
    wait_until(lambda: world.ledger()["requests"] > 40, PATIENCE_S, "the fleet's first calls")
    world.stall()
    expect(page.locator("#one-state .chip")).to_have_text(ALARMS)
    expect(page.locator("#announce")).to_have_text("Trouble at tools.")
    expect(page.locator(".episode h3").first).to_have_text("Going on")
    expect(page.locator(".episode p").first).to_contain_text("First sign: ")
    expect(page.locator(".episode svg rect").first).to_be_attached()
    reason = re.compile(r"calls? (sent away from|waited .* for a place at) tools")
    expect(page.locator("#decisions li").filter(has_text=reason).first).to_be_visible()
    keep(page, "storm")
    world.heal()

    page.get_by_label("Everything").select_option("observe")
    expect(page.locator("#banner")).to_contain_text("Observing")
    wait_until(lambda: not world.ledger()["waiting"], PATIENCE_S, "the end of the line")
    before = world.ledger()

    enough = before["requests"] + 60
    wait_until(lambda: world.ledger()["requests"] > enough, PATIENCE_S, "60 calls more")
    assert storm.poll() is None
    assert world.ledger()["acted"] == before["acted"]
    page.get_by_label("Everything").select_option("govern")
    expect(page.locator("#banner")).to_be_hidden()
    storm.terminate()
    expect(page.locator(".episode h3").filter(has_text="Over").first).to_be_visible()


def test_an_agent_is_quarantined_and_released_by_who_bears_the_token(
    opened: Open, world: World
) -> None:
    """Opened in the page, sent away, released with a reason; the trail says who, what and when."""
    assert world.call("planner-1") == 200
    page = read(opened("/agents.html", allows="Failed to load resource: the server responded"))
    page.get_by_label("Find").fill("plan")
    expect(page.locator("#agents tbody tr")).to_have_count(1)
    page.locator("#agents a", has_text="planner").click()
    expect(page.locator("#one-title")).to_contain_text("planner")
    expect(page.locator("#one-title")).to_be_focused()
    expect(page.locator("#envelope tbody tr").first).to_contain_text("2")
    page.get_by_role("button", name="Quarantine", exact=True).click()
    expect(page.locator("#message")).to_have_text("Type the token first.")
    page.get_by_label("Token").fill("not-the-token-at-all")
    page.get_by_role("button", name="Quarantine", exact=True).click()
    expect(page.locator("#message")).to_contain_text("Not done: send admin.token")
    assert world.call("planner-1") == 200

    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Quarantine", exact=True).click()
    expect(page.locator("#one-state")).to_have_text("quarantined")
    expect(page.locator("#words")).to_contain_text("403")
    assert world.call("planner-1") == 403
    keep(page, "quarantined")
    page.get_by_label("Why").fill("it was a test")
    page.get_by_role("button", name="Release").click()
    expect(page.locator("#one-state")).to_have_text("free")
    expect(page.locator("#announce")).to_have_text("planner is released.")
    assert world.call("planner-1") == 200
    act = page.locator("#acts tbody tr").first
    expect(act).to_contain_text(re.compile(r"\d\d:\d\d:\d\d"))
    expect(act).to_contain_text(re.compile("token-[0-9a-f]{8}"))
    for text in ("released", "planner", "it was a test"):
        expect(act).to_contain_text(text)
    expect(page.locator("#own-events")).to_contain_text("Released by token-")


def show_all(page: Page) -> None:
    """Open what is folded, and show a fleet of three whose server is gone, as one would tell it."""
    page.evaluate("document.getElementById('policies').open = true")
    world = FleetWorld(3, 12)
    world.pass_time(5)
    member, now_ns = world.crew.members[0], world.clock(0)
    members = Members(member, b"11111111")
    rows = [[b"11111111", 600, 4, 0, 4, 99], [b"22222222", 200, 3, 2, 5, 88]]
    members.take(now_ns, [0, b"22222222", 3, *rows])
    world.pass_time(5, is_up=lambda idx: False)
    seen = describe_member(member, Counts(), world.clock(0))
    seen["members"] = members.describe(world.clock(0))
    told = {"server": "redis://cache.internal:6379/0", "who": "governor-1", "tick_s": 0.1}
    page.route(
        "**/fleet?members",
        lambda route: route.fulfill(json={"fleet": {**told, "upstreams": {"tools": seen}}}),
    )
    page.evaluate("import('/dashboard/fleet.js').then(x => x.meetFleet({in_fleet: true}))")
    expect(page.locator("#fleet-state")).to_have_text("local only")
    expect(page.locator("#fleet-rows")).to_contain_text("not known")
    expect(page.locator("#banner")).to_contain_text("fleet’s server does not answer")


def find_barriers(page: Page, *rules: str) -> list[tuple[str, list[str]]]:
    """Return what axe-core finds, by rule, with the elements that are meant."""
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = Axe().run(page, options=options).response["violations"]
    return [(x["id"], [node["html"][:200] for node in x["nodes"]]) for x in found]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_stands_in_the_way_of_who_reads_otherwise(
    opened: Open, world: World, path: str
) -> None:
    """No violation that axe-core finds: names, roles, landmarks, headings, contrast in the dark."""
    assert world.call("planner-1") == 200
    page = read(opened(path))
    if path == "/dashboard":
        show_all(page)
    if path == "/agents.html":  # one row is as good as many, and read sooner
        page.get_by_label("Find").fill("planner")
        expect(page.locator("#agents tbody tr")).to_have_count(1)
    assert find_barriers(page) == []
    page.emulate_media(color_scheme="dark")
    assert find_barriers(page, "color-contrast") == []


@pytest.mark.parametrize("path", PATHS)
def test_the_keyboard_reaches_every_control_and_its_place_is_seen(
    opened: Open, world: World, path: str
) -> None:
    """Tab by tab through the page at a phone's width: all are met, each with an outline."""
    assert world.call("somebody") == 200
    page = read(opened(path, 390, 844))
    if path == "/agents.html":
        expect(page.locator("#act")).to_be_visible()
    else:
        show_all(page)
        table = page.locator("#members")
        assert table.evaluate("at => at.scrollWidth <= at.parentElement.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wanted = set(page.evaluate(LIST_CONTROLS))
    assert len(wanted) > 8
    met = {}
    for _ in range(200):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(DESCRIBE_FOCUS)
        if name == "BODY":
            break
        met[name] = outline
    assert [name for name, outline in met.items() if outline == "none"] == []
    assert (wanted & set(page.evaluate(LIST_CONTROLS))) - set(met) == set()  # rows come and go


DESCRIBE_FOCUS = """() => {
  const at = document.activeElement, name = `${at.tagName} ${at.id || at.name || at.textContent}`;
  return [at === document.body ? "BODY" : name, getComputedStyle(at).outlineStyle];
}"""
LIST_CONTROLS = """() => [...document.querySelectorAll("a, button, input, select, summary")]
  .filter((at) => at.checkVisibility() && !at.disabled)
  .map((at) => `${at.tagName} ${at.id || at.name || at.textContent}`)"""


@pytest.mark.parametrize("path", PATHS)
def test_a_lost_connection_is_told_and_mended(opened: Open, world: World, path: str) -> None:
    """Nothing answers: said in words, the switches are off; answered again, all is as before."""
    page = opened("/healthz/live", allows="Failed to load resource")
    page.route("**/stream", lambda route: route.abort())
    page.route("**/agents?*", lambda route: route.abort())
    page.route("**/healthz/live", lambda route: route.abort())
    page.goto(world.control_url + path)
    expect(page.locator("#banner")).to_contain_text("Governor does not answer.")
    expect(page.locator("#connection-text")).to_have_text("Not connected")
    for select in page.locator("#switches select").all():
        expect(select).to_be_disabled()
    page.unroute_all()
    read(page)
    expect(page.locator("#banner")).to_be_hidden()


def test_too_many_viewers_are_told_where_else_to_look(opened: Open, world: World) -> None:
    """The stream is full: said so, with other ways to the same numbers, and then joined."""
    page = opened("/healthz/live", allows="Failed to load resource")
    page.route("**/stream", lambda route: route.fulfill(status=503))
    page.goto(world.control_url + "/dashboard")
    expect(page.locator("#banner")).to_contain_text("As many people watch as may.")
    expect(page.locator("#empty").get_by_role("link", name="metrics")).to_be_visible()
    page.unroute_all()
    read(page)
